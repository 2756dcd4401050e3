package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// thrown is the answer to an order that closed alipay / ICBC debit.
func thrown(r *sluicev1.SwitchChannelRequest) *sluicev1.SwitchChannelResponse {
	const name = "alipay/instrument=QUICKPAY:ICBC:DEBIT"
	status := offStatus()
	status.Scope, status.Etag = scope(name), "88301"
	status.State.Off.Until = at(3, 36, 23)
	status.Next = "probes begin when the order expires or is released"
	reply := &sluicev1.SwitchChannelResponse{
		Scopes: []*sluicev1.ScopeStatus{status},
		Shift: &sluicev1.PredictedShift{
			PaymentsPerSecond: 12.5,
			Channels: []*sluicev1.ChannelShift{
				{Channel: "alipay", BeforePpm: 400_000}, {Channel: "unionpay-a", BeforePpm: 600_000, AfterPpm: fullPPM, LoadAfterPpm: 710_000},
			},
			Lanes: []*sluicev1.LaneShift{
				{Lane: "e1/COLLECT/QUICKPAY:ICBC:DEBIT", PaymentsPerSecond: 9, UsableBefore: []string{"alipay", "unionpay-a"}, UsableAfter: []string{"unionpay-a"}},
				{Lane: "e1/DEDUCT/QUICKPAY:ICBC:DEBIT", PaymentsPerSecond: 3.5, UsableBefore: []string{"alipay"}},
				{Lane: "e1/AUTHENTICATE/QUICKPAY:ICBC:DEBIT", UsableBefore: []string{"alipay", "unionpay-a"}, UsableAfter: []string{"unionpay-a"}},
				{Lane: "e2/COLLECT/QUICKPAY:ICBC:DEBIT", UsableBefore: []string{"a", "b", "c"}, UsableAfter: []string{"a", "b"}},
			},
		},
		Warnings: []string{"LAST_USABLE was overridden"},
		Undo:     &sluicev1.SwitchChannelRequest{Action: sluicev1.Action_ACTION_RELEASE, Scope: r.GetScope(), Reason: "undo: it's broken"},
	}
	if !r.GetValidateOnly() {
		reply.TableRevision, reply.JournalSequence, reply.Undo.Etag = 88302, 41, "88302"
	}
	return reply
}

func obey(_ int, r *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error) {
	return thrown(r), nil
}

func TestOff_SendsTheOrderAndPrintsItsUndo(t *testing.T) {
	f := &fake{throw: obey}
	got := start(t, f).do(t, "off", "alipay/bank=ICBC:debit", "--reason", "it's broken", "--yes", "--override", "last-usable", "--address", "127.0.0.1:7601")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "off", got.out)
	if len(f.orders) != 1 {
		t.Fatalf("%d orders sent, want 1", len(f.orders))
	}
	r := f.orders[0]
	if s := r.GetScope(); s.GetChannel() != "alipay" || s.GetBank() != "ICBC" || s.GetCardType() != configv1.CardType_CARD_TYPE_DEBIT || s.GetName() != "" {
		t.Errorf("scope %v", s)
	}
	if r.GetExpireAfter().AsDuration() != defaultExpiry || r.GetRequestId() == "" || r.GetValidateOnly() || len(r.GetOverrideGuards()) != 1 {
		t.Errorf("order %v", r)
	}
}

func TestSwitch_TheUndoCanBeRun(t *testing.T) {
	f := &fake{throw: obey}
	a := start(t, f)
	out := a.do(t, "off", "alipay", "--reason", "it's broken", "-y").out
	_, undo, found := strings.Cut(out, "To undo it:\n  sluice ")
	if !found {
		t.Fatalf("no undo in:\n%s", out)
	}
	if got := a.do(t, append(shellWords(t, undo), "--yes")...); got.code != ExitOK {
		t.Fatalf("the undo failed: %s", got.err)
	}
	r := f.orders[1]
	if r.GetAction() != sluicev1.Action_ACTION_RELEASE || r.GetReason() != "undo: it's broken" || r.GetEtag() != "88302" || r.GetScope().GetName() != "alipay" {
		t.Errorf("the undo sent %v", r)
	}
}

// shellWords splits a command as a shell does; single quotes and backslashes only.
func shellWords(t *testing.T, s string) []string {
	t.Helper()
	var words []string
	word, open, quoted, escaped := "", false, false, false
	for _, r := range strings.TrimSpace(s) + " " {
		switch {
		case escaped:
			word, escaped = word+string(r), false
		case r == '\\' && !quoted:
			open, escaped = true, true
		case r == '\'':
			open, quoted = true, !quoted
		case r == ' ' && !quoted:
			if open {
				words = append(words, word)
			}
			word, open = "", false
		default:
			word, open = word+string(r), true
		}
	}
	if quoted {
		t.Fatalf("an open quote in %q", s)
	}
	return words
}

func TestSwitch_AsksOnATerminalAndActsOnWhatWasShown(t *testing.T) {
	for answer, want := range map[string]int{"y\n": 2, "YES\n": 2, "n\n": 1, "\n": 1, "": 1} {
		f := &fake{throw: obey}
		a := start(t, f)
		a.In, a.interactive = strings.NewReader(answer), func(any) bool { return true }
		got := a.do(t, "off", "alipay", "--reason", "timeouts", "--for", "1h")
		if len(f.orders) != want {
			t.Errorf("answer %q: %d calls, want %d", answer, len(f.orders), want)
		}
		if !f.orders[0].GetValidateOnly() || f.orders[0].GetRequestId() != "" {
			t.Errorf("answer %q: the first call was no mere prediction: %v", answer, f.orders[0])
		}
		if !strings.Contains(got.err, "12.5 payments/s move") || !strings.Contains(got.err, "Switch off alipay for 1h? [y/N]") {
			t.Errorf("answer %q: nothing to decide by: %s", answer, got.err)
		}
		if want == 1 && got.code != ExitFailed || want == 2 && (got.code != ExitOK || f.orders[1].GetEtag() != "88301") {
			t.Errorf("answer %q: exit code %d, orders %v", answer, got.code, f.orders)
		}
	}
}

func TestSwitch_AsksAgainWhenSomebodyWasFaster(t *testing.T) {
	f := &fake{throw: func(n int, r *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error) {
		if n == 2 {
			return nil, refusal(codes.Aborted, "STALE_ETAG", "somebody changed it meanwhile", nil)
		}
		return thrown(r), nil
	}}
	a := start(t, f)
	a.In, a.interactive = strings.NewReader("y\ny\n"), func(any) bool { return true }
	got := a.do(t, "off", "alipay", "--reason", "timeouts")
	if got.code != ExitOK || len(f.orders) != 4 || !strings.Contains(got.err, "changed meanwhile") {
		t.Fatalf("exit code %d after %d calls: %s", got.code, len(f.orders), got.err)
	}
	if again := f.orders[2]; !again.GetValidateOnly() || again.GetEtag() != "" {
		t.Errorf("the new prediction is of what was shown before: %v", again)
	}
}

func TestSwitch_RetriesUnderOneRequestID(t *testing.T) {
	f := &fake{throw: func(n int, r *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error) {
		if n < 3 {
			return nil, refusal(codes.Unavailable, "OUTCOME_UNKNOWN", "may have happened", nil)
		}
		return thrown(r), nil
	}}
	if got := start(t, f).do(t, "hold", "alipay", "--reason", "drill", "-y"); got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	for _, r := range f.orders {
		if r.GetRequestId() == "" || r.GetRequestId() != f.orders[0].GetRequestId() {
			t.Errorf("request id %q, the first had %q", r.GetRequestId(), f.orders[0].GetRequestId())
		}
	}
}

func TestSwitch_FailuresSayWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code int
		want []string
	}{
		{
			"guard", refusal(codes.FailedPrecondition, "GUARD_REFUSED", "nothing else usable would be left", map[string]string{"guard": "LAST_USABLE"}), ExitRefused,
			[]string{"refused: nothing else usable", "GUARD_REFUSED", "sluice off alipay --reason 'it is down' --for 30m0s --override LAST_USABLE"},
		},
		{
			"stale", refusal(codes.Aborted, "STALE_ETAG", "somebody changed it", map[string]string{"current_etag": "9"}), ExitRefused,
			[]string{"current_etag=9", "sluice why alipay", "sluice off alipay --reason 'it is down' --for 30m0s\n"},
		},
		{
			"unknown outcome", refusal(codes.Unavailable, "OUTCOME_UNKNOWN", "may have happened", nil), ExitUnreachable,
			[]string{"sluice off alipay --reason 'it is down' --for 30m0s --etag 7 --request-id once-1"},
		},
		{"unknown scope", refusal(codes.NotFound, "UNKNOWN_SCOPE", "no such scope", nil), ExitFailed, []string{"sluice channels"}},
		{"not allowed", refusal(codes.PermissionDenied, "PERMISSION_DENIED", "operators only", nil), ExitFailed, []string{"SLUICE_TOKEN"}},
		{"reused id", refusal(codes.AlreadyExists, "REQUEST_ID_REUSED", "used for another order", nil), ExitUsage, []string{"--request-id"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &fake{throw: func(int, *sluicev1.SwitchChannelRequest) (*sluicev1.SwitchChannelResponse, error) { return nil, tc.err }}
			got := start(t, f).do(t, "off", "alipay", "--reason", "it is down", "-y", "--etag", "7", "--request-id", "once-1")
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d", got.code, tc.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(got.err, want) {
					t.Errorf("%q is missing in:\n%s", want, got.err)
				}
			}
		})
	}
}

func TestSwitch_DryRunChangesNothing(t *testing.T) {
	f := &fake{throw: obey}
	got := start(t, f).do(t, "on", "alipay", "--now", "--for", "10m", "--reason", "fixed", "--dry-run")
	if got.code != ExitOK || len(f.orders) != 1 || !f.orders[0].GetValidateOnly() || f.orders[0].GetAction() != sluicev1.Action_ACTION_ON_NOW {
		t.Errorf("exit code %d, orders %v: %s", got.code, f.orders, got.err)
	}
	if !strings.Contains(got.out, "nothing was done") || strings.Contains(got.out, "undo") {
		t.Errorf("output:\n%s", got.out)
	}
}

func TestSwitch_WrongUsageSendsNothing(t *testing.T) {
	for _, line := range []string{
		"off", "off alipay", "off alipay --reason ab -y", "off alipay/x=1 --reason abc -y", "off alipay/bank=ICBC:GOLD --reason abc -y",
		"off alipay --reason abc", "off alipay --reason abc -y --for -1m", "off alipay --reason abc -y --for 1m --until 06:00",
		"off alipay --reason abc -y --until 25:00", "off alipay --reason abc -y --until 2020-01-01T00:00:00Z", "on alipay --reason abc -y --for 1m",
		"release alipay --reason abc -y --for 1m", "off alipay --reason abc -y --override NONE", "off alipay --reason abc -y -o xml", "off alipay bank --reason abc",
		"hold alipay --reason abc -y --now",
	} {
		f := &fake{throw: obey}
		if got := start(t, f).do(t, strings.Fields(line)...); got.code != ExitUsage || len(f.orders) > 0 || got.err == "" {
			t.Errorf("%s: exit code %d, %d calls: %s", line, got.code, len(f.orders), got.err)
		}
	}
}

func TestParseUntil_NextTimeOfTheClock(t *testing.T) {
	for text, want := range map[string]time.Time{
		"06:00": time.Date(2026, 11, 22, 6, 0, 0, 0, zone), "03:06": time.Date(2026, 11, 23, 3, 6, 0, 0, zone),
		"2026-11-22T06:00:00Z": time.Date(2026, 11, 22, 14, 0, 0, 0, zone),
	} {
		if got, err := parseUntil(text, night); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
}
