package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func newFake() *fake {
	return &fake{
		list: badNight(), incident: incident(), explain: decision(),
		channels: map[string]*sluicev1.GetChannelResponse{"unionpay-b": {
			Channel: channel("unionpay-b", cutStatus()),
			Config: &configv1.Channel{
				Id: "unionpay-b", Accounts: []*configv1.Account{{Id: "a1"}},
				Instruments: []*configv1.Instrument{{Method: "QUICKPAY", Banks: []string{"ICBC"}, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT, configv1.CardType_CARD_TYPE_CREDIT}}},
			},
		}},
	}
}

func TestNow_ReadsAllPages(t *testing.T) {
	got := start(t, newFake()).do(t, "now")
	if want := testView(defaultWidth).nowText(badNight(), defaultAddress, false); got.code != ExitOK || got.out != want {
		t.Errorf("exit code %d, output:\n%s\nwant:\n%s", got.code, got.out, want)
	}
}

func TestOutputJSON_IsTheReply(t *testing.T) {
	for _, line := range []string{
		"now -o json", "channels -o json", "incidents -o json", "why 5f0c3a9d2b41 -o json", "why unionpay-b -o json", "why AQAB -o json",
		"why domain=unionpay-network -o json",
	} {
		got := start(t, newFake()).do(t, strings.Fields(line)...)
		var fields map[string]any
		if err := json.Unmarshal([]byte(got.out), &fields); err != nil || len(fields) == 0 || got.code != ExitOK {
			t.Errorf("%s: exit code %d, %v:\n%s%s", line, got.code, err, got.out, got.err)
		}
		if again := start(t, newFake()).do(t, strings.Fields(line)...); again.out != got.out {
			t.Errorf("%s: the same reply is printed in two ways", line)
		}
	}
}

func TestWhy_FindsWhatIsMeant(t *testing.T) {
	for _, tc := range []struct {
		what string
		code int
		want string
	}{
		{"5f0c3a9d2b41", ExitOK, "What was seen"},
		{"unionpay-b", ExitOK, "unionpay-b / ICBC debit is DISABLED"},
		{"unionpay-b/bank=ICBC", ExitOK, "61.2 % of 842 failed"},
		{"unionpay-b/bank=ICBC", ExitOK, "unionpay-b / ICBC credit is HEALTHY"},
		{"unionpay-b/bank=ICBC:CREDIT", ExitOK, "unionpay-b / ICBC credit is HEALTHY"},
		{icbc, ExitOK, "What was done"},
		{"unionpay-b/account=a1", ExitOK, "is HEALTHY"},
		{"unionpay-b/account=a2", ExitFailed, "has no account=a2"},
		{"unionpay-b/bank=CMB", ExitFailed, "has no bank=CMB"},
		{"nowhere/account=a1", ExitFailed, "UNKNOWN_CHANNEL"},
		{"domain=unionpay-network", ExitOK, "HELD"},
		{"AQAB", ExitOK, "Candidates, in order"},
		{"AQAB/0", ExitOK, "Candidates, in order"},
		{"AQAB/1", ExitOK, "that of candidate 2, wechat"},
		{"pay-1", ExitOK, "Candidates, in order"},
		{"nothing", ExitFailed, "no incident, channel, decision or payment"},
		{"nothing", ExitFailed, "replica r1 keeps some"},
		{"unionpay-b/colour=red", ExitUsage, "want CHANNEL"},
	} {
		f := newFake()
		f.incident.Status.Scope, f.incident.Incident.Incident.Id = scope(icbc), "5f0c3a9d2b41"
		got := start(t, f).do(t, "why", tc.what)
		if got.code != tc.code || !strings.Contains(got.out+got.err, tc.want) {
			t.Errorf("why %s: exit code %d, want %d and %q:\n%s%s", tc.what, got.code, tc.code, tc.want, got.out, got.err)
		}
	}
}

func TestToken_FlagThenEnvironmentThenFile(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".config", "sluice", "token")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("of-the-file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := newFake()
	a := start(t, f)
	a.Env = env(map[string]string{"HOME": home})
	if got := a.do(t, "now"); !strings.Contains(got.err, "chmod 600") {
		t.Errorf("no word about a token that others can read: %q", got.err)
	}
	a.Env = env(map[string]string{"HOME": home, "SLUICE_TOKEN": "of-the-environment"})
	a.do(t, "now")
	a.do(t, "now", "--token", "of-the-flag")
	for i, want := range []string{"of-the-file", "of-the-environment", "of-the-flag"} {
		if got := f.tokens[2*i]; got != "Bearer "+want { // two pages a run
			t.Errorf("run %d sent %q, want %q", i, got, want)
		}
	}
	if got := a.do(t, "now", "--token", "a b"); got.code != ExitUsage || strings.Contains(got.err, "a b") {
		t.Errorf("exit code %d for a bad token: %s", got.code, got.err)
	}
}

func TestTransport(t *testing.T) {
	for _, tc := range []struct {
		address string
		flags   connectionFlags
		want    string // protocol, empty = wrong usage
	}{
		{"127.0.0.1:7600", connectionFlags{}, "insecure"},
		{"localhost:7600", connectionFlags{}, "insecure"},
		{"[::1]:7600", connectionFlags{}, "insecure"},
		{"unix:/run/sluice.sock", connectionFlags{}, "insecure"},
		{"10.0.0.1:7600", connectionFlags{}, "tls"},
		{"localhost.evil.example:7600", connectionFlags{}, "tls"},
		{"10.0.0.1:7600", connectionFlags{insecure: true}, "insecure"},
		{"10.0.0.1:7600", connectionFlags{insecure: true, ca: "ca.pem"}, ""},
		{"127.0.0.1:7600", connectionFlags{cert: "c.pem"}, ""},
		{"127.0.0.1:7600", connectionFlags{ca: "missing.pem"}, ""},
		{"127.0.0.1", connectionFlags{}, ""},
	} {
		local, err := onThisMachine(tc.address)
		got := ""
		if err == nil {
			if creds, bad := tc.flags.transport(local); bad == nil {
				got = creds.Info().SecurityProtocol
			} else {
				err = bad
			}
		}
		if got != tc.want || got == "" && exitCode(err) != ExitUsage {
			t.Errorf("%s %+v: %q, %v, want %q", tc.address, tc.flags, got, err, tc.want)
		}
	}
}

func TestRun_UnreachableSaysWhereAndHow(t *testing.T) {
	a := start(t, newFake())
	a.dialing = nil
	a.Env = env(map[string]string{"SLUICE_ADDRESS": "127.0.0.1:1"})
	got := a.do(t, "now")
	if got.code != ExitUnreachable || !strings.Contains(got.err, "no answer from 127.0.0.1:1") || !strings.Contains(got.err, "sluice serve") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}

func TestRun_WrongUsage(t *testing.T) {
	for _, line := range []string{"nonsense", "now --nonsense", "now here", "catalog nonsense", "why", "now --timeout -1s", "now -o xml", "channels --address nowhere"} {
		if got := start(t, newFake()).do(t, strings.Fields(line)...); got.code != ExitUsage || got.err == "" {
			t.Errorf("%s: exit code %d: %s", line, got.code, got.err)
		}
	}
}

func TestParseScope_ReadsWhatScopeArgWrites(t *testing.T) {
	for _, arg := range []string{
		"alipay", "alipay/business=COLLECT", "alipay/method=QUICKPAY", "alipay/account=a1", "alipay/instrument=QUICKPAY:ICBC:DEBIT",
		"domain=unionpay-network", "alipay/bank=ICBC", "alipay/bank=ICBC:CREDIT", "alipay/method=QUICKPAY/bank=ICBC:DEBIT",
	} {
		s, err := parseScope(arg)
		if err != nil {
			t.Errorf("%s: %v", arg, err)
			continue
		}
		if got := scopeArg(s); got != arg {
			t.Errorf("%s became %s", arg, got)
		}
	}
	for _, arg := range []string{"", "a b", "alipay/", "alipay/bank=", "/bank=ICBC", "alipay/bank=ICBC:", "alipay/method=/bank=ICBC", "domain="} {
		if s, err := parseScope(arg); err == nil {
			t.Errorf("%q passed as %v", arg, s)
		}
	}
}
