package clienttest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sluice-pay/sluice/api/client"
	"github.com/sluice-pay/sluice/api/clienttest"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// pay is the program under test: it tries channel after channel until one pays, and returns which.
func pay(ctx context.Context, c *client.Client, attempt func(*sluicev1.RouteResponse) client.Result, m *sluicev1.RouteRequest) string {
	reply, err := c.Route(ctx, m)
	for err == nil {
		result := attempt(reply)
		if result.Outcome == configv1.Outcome_OUTCOME_SUCCEEDED {
			return reply.GetChannels()[0].GetChannel()
		}
		reply, err = c.Next(ctx, m, reply, result)
	}
	return "nobody"
}

// TestPay is how a test of one's own uses the package; channel alpha fails once, and beta is switched off.
func TestPay(t *testing.T) {
	s := clienttest.New(t)
	c := s.Client()
	s.Script("alpha", client.Result{Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED})
	s.Off("beta")
	if got := pay(t.Context(), c, s.Attempt, clienttest.Request("payment-1")); got != "gamma" {
		t.Errorf("paid by %s, want gamma", got)
	}
	if asked := len(s.Routed()); asked != 2 {
		t.Errorf("it asked %d times, want 2", asked)
	}
}

// A test commands channels, states and outages, and reads back what the program did.
func Example() {
	t, end := forExample() // in a test: t *testing.T
	defer end()
	ctx := context.Background()
	s := clienttest.New(t)
	c := s.Client()

	s.Script("alpha", client.Result{Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED})
	fmt.Println(pay(ctx, c, s.Attempt, clienttest.Request("payment-1")))
	s.Off("beta")
	fmt.Println(pay(ctx, c, s.Attempt, clienttest.Request("payment-2")))
	s.Suspend("gamma")
	fmt.Println(pay(ctx, c, s.Attempt, clienttest.Request("payment-3")))
	fmt.Println(len(s.Routed()), "calls")
	// Output:
	// beta
	// gamma
	// nobody
	// 6 calls
}

// In an outage no replica answers: the client decides by itself, from the snapshot it has.
func ExampleServer_Outage() {
	t, end := forExample()
	defer end()
	s := clienttest.New(t)
	c := s.Client()
	s.Outage()
	reply, err := c.Route(context.Background(), clienttest.Request("payment-1"))
	fmt.Println(reply.GetChannels()[0].GetChannel(), err, len(s.Routed()))
	// Output: alpha <nil> 0
}

// Ramp gives a scope a share of the payments that would rank it first: exactly that, however many there are.
func ExampleServer_Ramp() {
	t, end := forExample()
	defer end()
	s := clienttest.New(t)
	c := s.Client()
	s.Ramp("alpha", 250_000) // parts per million
	n := map[string]int{}
	for i := range 100 {
		reply, err := c.Route(context.Background(), clienttest.Request(fmt.Sprintf("payment-%d", i)))
		if err != nil {
			fmt.Println(err)
			return
		}
		n[reply.GetChannels()[0].GetChannel()]++
	}
	fmt.Println(n)
	// Output: map[alpha:25 beta:75]
}
