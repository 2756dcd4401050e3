package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestCompletion(t *testing.T) {
	for _, tc := range []struct {
		line string // what was typed; the last word is completed
		want []string
		not  []string
	}{
		{"why ", []string{"alipay\t", "unionpay-b\t", "domain=unionpay-network", "5f0c3a9d2b41\t"}, nil},
		{"off union", []string{"unionpay-b\t"}, []string{"alipay", "domain="}},
		{"off unionpay-b/", []string{"unionpay-b/bank=ICBC", "unionpay-b/bank=ICBC:DEBIT", "unionpay-b/method=QUICKPAY", "unionpay-b/account=a1"}, []string{"alipay"}},
		{"series show unionpay-b/bank=ICBC:", []string{"unionpay-b/bank=ICBC:CREDIT"}, []string{"unionpay-b/method"}},
		{"series export ali", []string{"alipay\t"}, []string{"unionpay-b"}},
		{"off alipay ", nil, []string{"unionpay-b"}},
		{"watch alipay ", []string{"unionpay-b\t"}, []string{"alipay\t"}},
		{"incidents --channel ali", []string{"alipay\t"}, nil},
		{"channels --domain ", []string{"unionpay-network"}, nil},
		{"now -o ", []string{"table", "json", "yaml"}, nil},
		{"series export alipay -o ", []string{"csv", "jsonl"}, []string{"yaml"}},
		{"context use ", []string{"prod"}, nil},
		{"now --context p", []string{"prod"}, nil},
		{"cheat ", []string{"look", "incident"}, nil},
	} {
		a, _ := atHome(t, newFake(), nil)
		if got := a.do(t, "context", "set", "prod", "--address", "127.0.0.1:1"); got.code != ExitOK {
			t.Fatal(got.err)
		}
		words := strings.Split(tc.line, " ")
		got := a.do(t, append([]string{cobra.ShellCompRequestCmd}, words...)...)
		lines := "\n" + got.out
		for _, want := range tc.want {
			if !strings.Contains(lines, "\n"+want) {
				t.Errorf("%q: no %q in:\n%s", tc.line, want, got.out)
			}
		}
		for _, not := range tc.not {
			if strings.Contains(lines, "\n"+not) {
				t.Errorf("%q: %q in:\n%s", tc.line, not, got.out)
			}
		}
	}
}

// A server that does not answer costs whoever types no more than the deadline.
func TestCompletion_DoesNotWaitForAServer(t *testing.T) {
	f := newFake()
	f.hang = true
	begin := time.Now()
	got := start(t, f).do(t, cobra.ShellCompRequestCmd, "off", "")
	if took := time.Since(begin); got.code != ExitOK || took > 10*completionDeadline || took < completionDeadline/2 {
		t.Errorf("exit code %d after %v, want about %v:\n%s", got.code, took, completionDeadline, got.out)
	}
	if strings.Contains(got.out, "alipay") {
		t.Errorf("completed without an answer:\n%s", got.out)
	}
}

func TestCompletion_Scripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := start(t, newFake()).do(t, "completion", shell); got.code != ExitOK || !strings.Contains(got.out, "sluice") {
			t.Errorf("%s: exit code %d: %s", shell, got.code, got.err)
		}
	}
}
