package cli

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func TestCommandText_RestoresAnOrder(t *testing.T) {
	r := &sluicev1.SwitchChannelRequest{
		Action: sluicev1.Action_ACTION_ON_NOW, Scope: &sluicev1.Scope{Channel: "alipay", Method: "QUICKPAY", Bank: "ICBC"}, Reason: "a $(b) 'c'",
		Expiry: &sluicev1.SwitchChannelRequest_ExpireAfter{ExpireAfter: durationpb.New(90 * time.Second)}, Etag: "7",
	}
	want := `sluice on alipay/method=QUICKPAY/bank=ICBC --now --reason 'a $(b) '\''c'\''' --for 1m30s --etag 7 --insecure`
	if got := commandText(r, []string{"--insecure"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
