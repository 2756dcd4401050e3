package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

func (a *app) newWhy() *cobra.Command {
	var payment bool
	cmd := a.client(&cobra.Command{
		Use:   "why INCIDENT|SCOPE|CHANNEL|DECISION|ATTEMPT|PAYMENT",
		Short: "Tell why something is as it is",
		Long: `Tell the story of an incident, how a scope or channel came to be as it is, or why a payment was routed as it
was (by the id of a decision, an attempt or a payment): every candidate in order, kept or dropped and why. Each replica
keeps the newest 65,536 decisions that it made and at least 256 revisions of its table, and decides them again to tell;
what is not kept any more is said.

` + scopeHelp,
		Example: "  sluice why alipay/bank=ICBC\n  sluice why 5f0c3a9d2b417e68\n  sluice why order-20261122-0815 -o json",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: a.completeWhy,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.why(cmd.Context(), args[0], payment)
		},
	})
	cmd.Flags().BoolVar(&payment, "payment", false, "it is the id of a payment, whatever else it may look like")
	return cmd
}

// why finds out what is asked for. A text with `=` is a scope; anything else is looked for as an incident, a channel, a
// decision and a payment, in that order. payment says that it is the id of one.
func (a *app) why(ctx context.Context, what string, payment bool) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	var scope *sluicev1.Scope
	if strings.Contains(what, "=") && !payment {
		var err error
		if scope, err = parseScope(what); err != nil {
			return err
		}
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Nothing is left to send.
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	if scope != nil {
		return a.whyScope(ctx, conn, scope)
	}
	if payment {
		return a.whyPayment(ctx, conn, what)
	}
	return a.whyAny(ctx, conn, what)
}

// whyAny asks for one thing after another. What has the form of a decision's or an attempt's id is looked for as that first.
func (a *app) whyAny(ctx context.Context, conn grpc.ClientConnInterface, what string) error {
	decision, rank, _ := strings.Cut(what, "/") // an attempt id is that of its decision and a rank
	asked := -1
	if n, err := strconv.Atoi(rank); err == nil {
		asked = n
	}
	tries := []func() error{
		func() error { return a.whyIncident(ctx, conn, what) },
		func() error { return a.whyChannel(ctx, conn, what) },
		func() error {
			return a.whyDecision(ctx, conn, &sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_DecisionId{DecisionId: decision}}, asked)
		},
		func() error { return a.whyPayment(ctx, conn, what) },
	}
	if _, err := routing.ParseDecisionID(decision); err == nil {
		tries[0], tries[2] = tries[2], tries[0]
	}
	var unbuilt, last error
	for _, try := range tries {
		err := try()
		switch codeOf(err) { //nolint:exhaustive // The rest is an answer.
		case codes.NotFound, codes.InvalidArgument:
			last = err
		case codes.Unimplemented:
			unbuilt = err
		default:
			return err
		}
	}
	if unbuilt != nil {
		return unbuilt
	}
	text := fmt.Sprintf("no incident, channel, decision or payment is called %q, or it is no longer kept", what)
	if s, ok := rpcStatus(last); ok && s.Code() == codes.NotFound { // of the payment: it says what is kept
		text += ": " + clean(s.Message())
	}
	return helpedError{
		errors.New(text),
		[]string{"sluice incidents                 # lists what is kept", "sluice channels                  # lists the channels"},
	}
}

func codeOf(err error) codes.Code {
	if s, ok := rpcStatus(err); ok {
		return s.Code()
	}
	if err == nil {
		return codes.OK
	}
	return codes.Unknown
}

func (a *app) whyIncident(ctx context.Context, conn grpc.ClientConnInterface, id string) error {
	reply, err := sluicev1.NewIncidentServiceClient(conn).GetIncident(ctx, &sluicev1.GetIncidentRequest{IncidentId: id})
	if err != nil {
		return fmt.Errorf("incident %s: %w", id, err)
	}
	return a.show(reply, func(v view) string { return v.incidentText(reply) })
}

func (a *app) whyDecision(ctx context.Context, conn grpc.ClientConnInterface, request *sluicev1.ExplainRouteRequest, asked int) error {
	reply, err := sluicev1.NewRoutingServiceClient(conn).ExplainRoute(ctx, request)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	return a.show(reply, func(v view) string { return v.decisionText(reply, asked) })
}

func (a *app) whyPayment(ctx context.Context, conn grpc.ClientConnInterface, payment string) error {
	return a.whyDecision(ctx, conn, &sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_PaymentId{PaymentId: payment}}, -1)
}

func (a *app) whyChannel(ctx context.Context, conn grpc.ClientConnInterface, channel string) error {
	if !statemachine.ValidName(channel) {
		return statusError(codes.NotFound, "no such channel")
	}
	return a.whyScope(ctx, conn, &sluicev1.Scope{Name: channel})
}
