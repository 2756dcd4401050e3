// Package claimstest holds the contract that every implementation of monitor.Claims must pass, together with the
// Exchange that its replicas publish through.
package claimstest

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// Start is the second around which the suite claims.
const Start = int64(1_700_000_000)

// Replica is one life of a replica under test.
type Replica struct {
	Name     string
	Boot     uint64
	Claims   monitor.Claims
	Exchange monitor.Exchange
}

// Join starts a life of a replica on the store that a part of the suite shares.
type Join func(t *testing.T, name string, boot uint64) Replica

// Run runs the contract suite. open returns an empty store for each part.
func Run(t *testing.T, open func(t *testing.T) Join) {
	t.Helper()
	parts := []struct {
		name string
		run  func(*testing.T, Join)
	}{
		{"TheFirstWins", firstWins},
		{"AskingAgainAnswersTheSame", askingAgain},
		{"WhatIsNotPublishedIsHeld", held},
		{"StagesCountOnceEach", stages},
		{"AFinalThatCameFirstHasIt", finalFirst},
		{"OneReplicaAloneHasAllItsStages", alone},
		{"ATakeoverFencesTheFormerHolder", takeover},
		{"AnotherLifeIsAnotherReplica", anotherLife},
		{"ManyAtOnce", many},
		{"NothingToClaim", nothing},
		{"ACancelledCallIsUnverified", cancelled},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, open(t)) })
	}
}

func result(attempt uint64, o statemachine.Outcome) monitor.Claim {
	return monitor.Claim{Attempt: attempt, Stage: monitor.StageResult, Outcome: o}
}

func pending() monitor.Claim {
	return monitor.Claim{Attempt: 1, Stage: monitor.StagePending, Outcome: statemachine.Pending}
}

func final(o statemachine.Outcome) monitor.Claim {
	return monitor.Claim{Attempt: 1, Stage: monitor.StageFinal, Outcome: o}
}

func won() monitor.ClaimAnswer { return monitor.ClaimAnswer{Verdict: monitor.Won} }

func corrects(o statemachine.Outcome) monitor.ClaimAnswer {
	return monitor.ClaimAnswer{Verdict: monitor.Won, Known: true, Prior: o}
}

func lost(o statemachine.Outcome, final bool) monitor.ClaimAnswer {
	return monitor.ClaimAnswer{Verdict: monitor.Lost, Known: true, Prior: o, Final: final}
}

func heldBy(o statemachine.Outcome) monitor.ClaimAnswer {
	return monitor.ClaimAnswer{Verdict: monitor.Held, Known: true, Prior: o}
}

// claim claims one result of a second, asked at now, and expects an answer.
func (r Replica) claim(t *testing.T, second, now int64, c monitor.Claim, want monitor.ClaimAnswer) {
	t.Helper()
	got, err := r.Claims.Claim(t.Context(), second, now, []monitor.Claim{c})
	if err != nil || len(got) != 1 {
		t.Fatalf("%s claims %+v: %d answers, %v", r.Name, c, len(got), err)
	}
	if got[0] != want {
		t.Errorf("%s claims %+v of second %d at %d: %+v, want %+v", r.Name, c, second-Start, now-Start, got[0], want)
	}
}

func (r Replica) publish(t *testing.T, second int64) {
	t.Helper()
	if err := r.Exchange.Publish(t.Context(), &monitor.Row{Replica: r.Name, Boot: r.Boot, Counts: monitor.SecondCounts{Second: second}}); err != nil {
		t.Fatalf("%s publishes second %d: %v", r.Name, second-Start, err)
	}
}

func firstWins(t *testing.T, join Join) {
	a, b := join(t, "a", 1), join(t, "b", 1)
	a.claim(t, Start, Start+1, result(1, statemachine.TimedOut), won())
	a.publish(t, Start)
	b.claim(t, Start+5, Start+6, result(1, statemachine.Succeeded), lost(statemachine.TimedOut, false))
	b.claim(t, Start+5, Start+6, pending(), lost(statemachine.TimedOut, false))
	b.claim(t, Start+5, Start+6, result(2, statemachine.Succeeded), won())
}

func askingAgain(t *testing.T, join Join) {
	a, b := join(t, "a", 1), join(t, "b", 1)
	for range 3 {
		a.claim(t, Start, Start+1, result(1, statemachine.TimedOut), won())
	}
	a.publish(t, Start)
	for range 3 {
		a.claim(t, Start, Start+2, result(1, statemachine.TimedOut), won())
		b.claim(t, Start, Start+2, result(1, statemachine.TimedOut), lost(statemachine.TimedOut, false))
		b.claim(t, Start+1, Start+2, final(statemachine.Succeeded), corrects(statemachine.TimedOut))
	}
}

func held(t *testing.T, join Join) {
	a, b := join(t, "a", 1), join(t, "b", 1)
	a.claim(t, Start, Start+1, result(1, statemachine.TimedOut), won())
	for now := Start + 1; now <= Start+monitor.TakeOverAfter; now++ {
		b.claim(t, Start, now, result(1, statemachine.Succeeded), heldBy(statemachine.TimedOut))
		b.claim(t, Start, now, final(statemachine.Succeeded), heldBy(statemachine.TimedOut))
	}
	a.publish(t, Start)
	b.claim(t, Start, Start+20, result(1, statemachine.Succeeded), lost(statemachine.TimedOut, false))
}

func stages(t *testing.T, join Join) {
	a, b, c := join(t, "a", 1), join(t, "b", 1), join(t, "c", 1)
	a.claim(t, Start, Start+1, pending(), won())
	a.publish(t, Start)
	b.claim(t, Start+1, Start+2, result(1, statemachine.TimedOut), corrects(statemachine.Pending))
	b.publish(t, Start+1)
	c.claim(t, Start+2, Start+3, result(1, statemachine.Succeeded), lost(statemachine.TimedOut, false))
	c.claim(t, Start+2, Start+3, final(statemachine.Succeeded), corrects(statemachine.TimedOut))
	c.publish(t, Start+2)
	a.claim(t, Start+3, Start+4, final(statemachine.ChannelFailed), lost(statemachine.Succeeded, true))
	b.claim(t, Start+3, Start+4, pending(), lost(statemachine.Pending, false))
}

func finalFirst(t *testing.T, join Join) {
	a, b := join(t, "a", 1), join(t, "b", 1)
	a.claim(t, Start, Start+1, final(statemachine.Succeeded), won())
	a.publish(t, Start)
	b.claim(t, Start, Start+1, result(1, statemachine.TimedOut), lost(statemachine.Succeeded, true))
	b.claim(t, Start, Start+1, final(statemachine.Succeeded), lost(statemachine.Succeeded, true))
}

func alone(t *testing.T, join Join) {
	a := join(t, "a", 1)
	list := []monitor.Claim{pending(), result(1, statemachine.TimedOut), final(statemachine.Succeeded), result(2, statemachine.Succeeded)}
	want := []monitor.ClaimAnswer{won(), corrects(statemachine.Pending), corrects(statemachine.TimedOut), won()}
	for range 2 {
		got, err := a.Claims.Claim(t.Context(), Start, Start+1, list)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("claim %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	}
}

func takeover(t *testing.T, join Join) {
	a, b, c := join(t, "a", 1), join(t, "b", 1), join(t, "c", 1)
	a.claim(t, Start, Start+1, result(1, statemachine.TimedOut), won())
	a.claim(t, Start, Start+1, result(2, statemachine.TimedOut), won())
	late := Start + monitor.TakeOverAfter + 1
	b.claim(t, late-1, late, result(1, statemachine.Succeeded), won())
	row := &monitor.Row{Replica: a.Name, Boot: a.Boot, Counts: monitor.SecondCounts{Second: Start}}
	if err := a.Exchange.Publish(t.Context(), row); !errors.Is(err, monitor.ErrFenced) {
		t.Fatalf("publishing a row with claims taken over: %v, want ErrFenced", err)
	}
	if rows, err := a.Exchange.Read(t.Context(), Start); err != nil || len(rows) != 0 {
		t.Errorf("a refused row can be read: %v, %v", rows, err)
	}
	a.claim(t, Start, late, result(2, statemachine.TimedOut), won())
	a.claim(t, Start, late, result(1, statemachine.TimedOut), heldBy(statemachine.Succeeded))
	a.publish(t, Start)
	b.publish(t, late-1)
	a.claim(t, Start, late+1, result(1, statemachine.TimedOut), lost(statemachine.Succeeded, false))
	c.claim(t, late, late+1, result(2, statemachine.TimedOut), lost(statemachine.TimedOut, false))
}

func anotherLife(t *testing.T, join Join) {
	first := join(t, "a", 1)
	first.claim(t, Start, Start+1, result(1, statemachine.TimedOut), won())
	first.publish(t, Start)
	first.claim(t, Start+1, Start+2, result(2, statemachine.TimedOut), won()) // dies before it publishes
	second := join(t, "a", 2)
	second.claim(t, Start+2, Start+3, result(1, statemachine.TimedOut), lost(statemachine.TimedOut, false))
	second.claim(t, Start+2, Start+3, result(2, statemachine.TimedOut), heldBy(statemachine.TimedOut))
	second.publish(t, Start+2)
	second.claim(t, Start+2, Start+2+monitor.TakeOverAfter, result(2, statemachine.TimedOut), won())
}

func many(t *testing.T, join Join) {
	a, b := join(t, "a", 1), join(t, "b", 1)
	const n = 2500
	var mine, both []monitor.Claim
	for i := range uint64(n) {
		both = append(both, result(i+1, statemachine.Succeeded))
		if i%2 == 0 {
			mine = append(mine, both[i])
		}
	}
	if _, err := a.Claims.Claim(t.Context(), Start, Start+1, mine); err != nil {
		t.Fatal(err)
	}
	a.publish(t, Start)
	got, err := b.Claims.Claim(t.Context(), Start, Start+1, both)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		want := won()
		if i%2 == 0 {
			want = lost(statemachine.Succeeded, false)
		}
		if got[i] != want {
			t.Fatalf("claim %d of %d: %+v, want %+v", i, n, got[i], want)
		}
	}
}

func nothing(t *testing.T, join Join) {
	a := join(t, "a", 1)
	if got, err := a.Claims.Claim(t.Context(), Start, Start+1, nil); err != nil || len(got) != 0 {
		t.Errorf("claiming nothing: %v, %v", got, err)
	}
	a.publish(t, Start)
}

func cancelled(t *testing.T, join Join) {
	a := join(t, "a", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := a.Claims.Claim(ctx, Start, Start+1, []monitor.Claim{result(1, statemachine.Succeeded)})
	if !errors.Is(err, context.Canceled) || len(got) != 1 || got[0].Verdict != monitor.Unverified {
		t.Errorf("claiming after cancelling: %+v, %v; want unverified and context.Canceled", got, err)
	}
}
