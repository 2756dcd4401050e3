// Command tipping measures how long the real binary takes from the report that tips the balance to the first Route that
// avoids the scope. It builds sluice, starts `sluice serve` on a loopback port, and in each round breaks another bank.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/realbinary"
)

const (
	rounds       = 25
	wellBanks    = 5 // never broken
	minSamples   = 20
	goodPayments = 100
	roundLimit   = 10 * time.Second
	betweenAsks  = time.Millisecond
)

var errTooLate = errors.New("the scope was not avoided in time")

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "tipping:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sluice-tipping-")
	if err != nil {
		return fmt.Errorf("work directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	replica, err := realbinary.Start(ctx, dir, catalogYAML())
	if err != nil {
		return fmt.Errorf("sluice serve: %w", err)
	}
	defer func() { _ = replica.Stop() }()
	conn, err := grpc.NewClient(replica.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	p := &prober{routing: sluicev1.NewRoutingServiceClient(conn)}
	took := make([]time.Duration, 0, rounds)
	for i := range rounds {
		d, err := p.round(ctx, i)
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	fmt.Fprintf(os.Stdout, "tipping report to first Route that avoids the scope, real binary, %d rounds: p50 %v, p90 %v, max %v (must: p50 <= 1.05s)\n",
		rounds, took[rounds/2].Round(time.Millisecond), took[rounds*9/10].Round(time.Millisecond), took[rounds-1].Round(time.Millisecond))
	return nil
}

// prober plays cashier and gateway.
type prober struct {
	routing sluicev1.RoutingServiceClient
	n       uint64
}

// round breaks one bank on the first channel and returns the time from the tipping report until a payment goes elsewhere.
func (p *prober) round(ctx context.Context, i int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	for n := range goodPayments { // banks that are never broken
		if err := p.pay(ctx, rounds+n%wellBanks, "00"); err != nil {
			return 0, err
		}
	}
	for range minSamples - 1 {
		if err := p.pay(ctx, i, "91"); err != nil {
			return 0, err
		}
	}
	time.Sleep(time.Duration(rand.Int64N(int64(time.Second)))) //nolint:gosec // a random moment of the second
	begun := time.Now()
	if err := p.pay(ctx, i, "91"); err != nil {
		return 0, err
	}
	for {
		to, err := p.route(ctx, i)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return 0, errTooLate
		case err != nil:
			return 0, err
		case to.GetChannels()[0].GetChannel() != "first":
			return time.Since(begun), nil
		}
		time.Sleep(betweenAsks)
	}
}

func bank(i int) string { return fmt.Sprintf("BANK%02d", i) }

func (p *prober) route(ctx context.Context, i int) (*sluicev1.RouteResponse, error) {
	p.n++
	reply, err := p.routing.Route(ctx, &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: fmt.Sprintf("p-%d", p.n), Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: "QUICKPAY", Bank: bank(i), CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 100, Currency: "CNY", PayerKey: p.n,
	}})
	if err != nil {
		return nil, fmt.Errorf("route: %w", err)
	}
	return reply, nil
}

// pay routes one payment and reports it with a code.
func (p *prober) pay(ctx context.Context, i int, code string) error {
	reply, err := p.route(ctx, i)
	if err != nil {
		return err
	}
	to := reply.GetChannels()[0]
	_, err = p.routing.ReportResult(ctx, &sluicev1.ReportResultRequest{Report: &sluicev1.Report{
		AttemptId: to.GetAttemptId(), PaymentId: fmt.Sprintf("p-%d", p.n), DecisionId: reply.GetDecisionId(), Channel: to.GetChannel(),
		Account: to.GetAccount(), Method: "QUICKPAY", Bank: bank(i), CardType: configv1.CardType_CARD_TYPE_DEBIT,
		BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, RawCode: code, RequestWritten: true, LatencyMs: 5, PayerKey: p.n,
	}})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// catalogYAML has two channels that carry all banks; a cut takes twenty results, all bad.
func catalogYAML() string {
	banks := make([]string, rounds+wellBanks)
	for i := range banks {
		banks[i] = bank(i)
	}
	channel := func(id string) string {
		return fmt.Sprintf(`  - id: %[1]s
    provider: %[1]s
    business_types: [COLLECT]
    instruments: [{method: QUICKPAY, banks: [%[2]s], card_types: [DEBIT]}]
    accounts: [{id: %[1]s-1, entity: e-1}]
    currencies: [CNY]
    code_table: plain
`, id, strings.Join(banks, ", "))
	}
	return `name: tipping
entities: [{id: e-1, name: Shop}]
code_tables: [{id: plain, codes: [{code: "00", outcome: SUCCEEDED}, {code: "91", outcome: CHANNEL_FAILED}]}]
channels:
` + channel("first") + channel("second") + fmt.Sprintf(`routes:
  - {id: r, business_type: COLLECT, method: QUICKPAY, members: [{channel: first, priority: 0}, {channel: second, priority: 1}]}
default_policy:
  detector: WINDOWS
  windows: {window: 10s, failure_rate: 0.5, min_samples: %d, mild_rate: 0, count_ratio: {ratio: 1}}
  recovery: {cool_down: 10m, cool_down_max: 10m}
  guards: {min_weight_share: 0.1}
`, minSamples)
}
