package client

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// TestListPaymentOptions: client and replica list the same, and the client goes on when there is no replica.
func TestListPaymentOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(8))
		remote, local := newClient(t, config(n, RPCFirst)), newClient(t, config(n, LocalFirst))
		rng := rand.New(rand.NewPCG(6, 6))
		pick := func(of ...string) string { return of[rng.IntN(len(of))] }
		listed := 0
		for i := range 300 {
			r.put(routing.Revision{Epoch: 1, Revision: 200 + int64(i)}, anyStates(rng)...)
			synctest.Wait()
			m := &sluicev1.ListPaymentOptionsRequest{
				Merchant: "m-1", SettlementEntity: pick("e-1", "e-2", "e-9"), BusinessType: collect, Amount: rng.Int64N(100), Currency: pick("CNY", "USD"),
				IncludeUnsupported: rng.IntN(2) == 0,
			}
			if rng.IntN(2) == 0 {
				m.Methods = append(m.Methods, pick("QUICKPAY", "UPI"))
			}
			if rng.IntN(2) == 0 {
				m.Banks = append(m.Banks, pick("ICBC", "BOC"), pick("ICBC", "CCB"))
			}
			far, err := remote.ListPaymentOptions(t.Context(), m)
			must(t, err)
			near, err := local.ListPaymentOptions(t.Context(), m)
			must(t, err)
			far.TableAge, near.TableAge = nil, nil
			if !proto.Equal(far, near) {
				t.Fatalf("%v\nreplica %v\nclient  %v", m, far, near)
			}
			listed += len(far.GetOptions())
		}
		if listed < 100 {
			t.Errorf("only %d options", listed)
		}
		r.kill()
		synctest.Wait()
		time.Sleep(40 * time.Second)
		m := &sluicev1.ListPaymentOptionsRequest{Merchant: "m-1", SettlementEntity: "e-1", BusinessType: collect, Currency: "CNY"}
		for _, c := range []*Client{remote, local} {
			if got, err := c.ListPaymentOptions(t.Context(), m); err != nil || len(got.GetOptions()) != 2 || got.GetSource() != SourceStale {
				t.Errorf("%v, %v", got, err)
			}
			bad := proto.CloneOf(m)
			bad.BusinessType = configv1.BusinessType_BUSINESS_TYPE_REFUND
			if _, err := c.ListPaymentOptions(t.Context(), bad); status.Code(err) != codes.InvalidArgument {
				t.Error(err)
			}
		}
	})
}
