package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	stepDeadline = 30 * time.Second
	healDeadline = 90 * time.Second
)

func to(p configv1.Phase) func(*sluicev1.Transition) bool {
	return func(tr *sluicev1.Transition) bool { return tr.GetTo() == p }
}

// TestLifeOfAnIncident drives the real binary over gRPC through the whole life of an incident: one bank fails on one
// channel and only that is cut, it is probed, ramped and healed; an operator closes and opens it; the process is killed in
// mid-ramp and goes on at the same share.
func TestLifeOfAnIncident(t *testing.T) {
	r := newReplica(t, "testdata/e2e.yaml")
	r.start()
	ctx := t.Context()
	d := &driver{t: t, r: r, ctx: ctx, events: r.watch(ctx), life: newLife(t.Logf)}

	d.reset()
	d.run(300)
	if d.onAlpha["ICBC"] != d.bank["ICBC"] || d.onAlpha["CMB"] != d.bank["CMB"] {
		t.Fatalf("healthy: %v of %v payments on alpha, want all: it is the first choice", d.onAlpha, d.bank)
	}

	d.broken = true
	cut := d.until("cut", stepDeadline, to(configv1.Phase_PHASE_DISABLED))
	if e := cut.GetEvidence(); e.GetBad() < 10 || e.GetAnswered() < e.GetBad() || cut.GetIncidentId() == "" {
		t.Fatalf("cut without evidence: %v", cut)
	}
	d.broken = false
	d.reset()
	d.until("probes", stepDeadline, to(configv1.Phase_PHASE_PROBING))
	if d.onAlpha["CMB"] != d.bank["CMB"] || d.onAlpha["ABC"] != d.bank["ABC"] {
		t.Fatalf("while ICBC is cut: %v of %v on alpha, want all of CMB and ABC", d.onAlpha, d.bank)
	}
	d.until("ramp", stepDeadline, to(configv1.Phase_PHASE_RAMPING))
	d.until("second ramp step", stepDeadline, func(tr *sluicev1.Transition) bool { return tr.GetStatus().GetState().GetStep() >= 2 })
	d.checkShares()
	before := r.state(ctx, brokenOn, brokenBank)
	if before.GetPhase() != configv1.Phase_PHASE_RAMPING {
		t.Fatalf("in mid-ramp the state is %v", before)
	}

	r.kill()
	r.start()
	after := r.state(ctx, brokenOn, brokenBank)
	if after.GetPhase() != configv1.Phase_PHASE_RAMPING || after.GetSharePpm() > before.GetSharePpm() {
		t.Fatalf("killed at %v with %d ppm, back at %v with %d ppm: want the same share, never a higher one",
			before.GetPhase(), before.GetSharePpm(), after.GetPhase(), after.GetSharePpm())
	}
	d.events, d.life = r.watch(ctx), newLife(t.Logf)
	d.life.states[0] = after.GetState()
	d.until("healthy", healDeadline, to(configv1.Phase_PHASE_HEALTHY))
	d.reset()
	d.run(200)
	if d.onAlpha["ICBC"] != d.bank["ICBC"] {
		t.Fatalf("healed: %d of %d payments of ICBC on alpha", d.onAlpha["ICBC"], d.bank["ICBC"])
	}

	operatorOffAndOn(t, d)
	if err := r.stop(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
}

// operatorOffAndOn closes the scope by hand, sees that nothing goes there, and opens it through the ramp.
func operatorOffAndOn(t *testing.T, d *driver) {
	t.Helper()
	scope := &sluicev1.Scope{Name: brokenScope}
	off, err := d.r.channels().SwitchChannel(d.ctx, &sluicev1.SwitchChannelRequest{
		Action: sluicev1.Action_ACTION_OFF, Scope: scope, Reason: "maintenance of the bank", RequestId: "e2e-off",
		Expiry: &sluicev1.SwitchChannelRequest_ExpireAfter{ExpireAfter: durationpb.New(10 * time.Minute)},
	})
	if err != nil {
		t.Fatalf("off: %v", err)
	}
	if len(off.GetScopes()) != 1 || off.GetScopes()[0].GetPhase() != configv1.Phase_PHASE_DISABLED || off.GetUndo() == nil {
		t.Fatalf("off answered %v, want the scope disabled and how to undo it", off)
	}
	d.reset()
	d.run(200)
	if d.onAlpha["ICBC"] != 0 || d.onAlpha["CMB"] != d.bank["CMB"] {
		t.Fatalf("off: %v of %v on alpha, want none of ICBC and all others", d.onAlpha, d.bank)
	}
	if _, err := d.r.channels().SwitchChannel(d.ctx, &sluicev1.SwitchChannelRequest{
		Action: sluicev1.Action_ACTION_ON, Scope: scope, Reason: "maintenance is over", RequestId: "e2e-on",
	}); err != nil {
		t.Fatalf("on: %v", err)
	}
	d.until("ramp after ON", stepDeadline, to(configv1.Phase_PHASE_RAMPING))
	d.until("healthy after ON", healDeadline, to(configv1.Phase_PHASE_HEALTHY))
}
