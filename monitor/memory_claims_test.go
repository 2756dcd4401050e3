package monitor_test

import (
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/claimstest"
)

func TestMemoryClaims(t *testing.T) {
	claimstest.Run(t, func(*testing.T) claimstest.Join {
		x := monitor.NewMemoryExchange()
		return func(_ *testing.T, name string, boot uint64) claimstest.Replica {
			return claimstest.Replica{Name: name, Boot: boot, Claims: monitor.NewMemoryClaims(x, name, boot), Exchange: x}
		}
	})
}

func FuzzParseClaimHolder(f *testing.F) {
	h := monitor.ClaimHolder{Replica: "r 1", Boot: 1 << 63, Second: 1_700_000_000, Stage: monitor.StageFinal, Outcome: 5}
	f.Add(string(h.Append(nil)))
	f.Add("1 2")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := monitor.ParseClaimHolder(text)
		if err != nil {
			return
		}
		if again, err := monitor.ParseClaimHolder(string(h.Append(nil))); err != nil || again != h {
			t.Errorf("%q reads as %+v, again as %+v, %v", text, h, again, err)
		}
	})
}
