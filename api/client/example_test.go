package client_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/grpc/status"

	"github.com/sluice-pay/sluice/api/client"
	"github.com/sluice-pay/sluice/api/clienttest"
)

// A cashier asks for the channel of a payment. Here a control plane in memory answers; with a real one the configuration is
// client.Config{Target: "dns:///sluice.internal:7070", Environment: "prod", Token: token}.
func Example() {
	t, end := forExample()
	defer end()
	ctx := context.Background()
	config := clienttest.New(t).Config()

	c, err := client.New(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	reply, err := c.Route(ctx, clienttest.Request("payment-1"))
	fmt.Println(reply.GetChannels()[0].GetChannel(), reply.GetSource(), err)
	// Output: alpha TABLE_SOURCE_FRESH <nil>
}

// A local-first client decides in the process, from the snapshot that replicas stream; with a file it does so from its first
// moment, whether or not a replica answers.
func Example_localFirst() {
	t, end := forExample()
	defer end()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s := clienttest.New(t)
	config := s.Config()
	config.Mode, config.File = client.LocalFirst, filepath.Join(dir, "snapshot")

	c, err := client.New(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := c.Route(ctx, clienttest.Request("payment-1"))
	fmt.Println(reply.GetChannels()[0].GetChannel(), reply.GetSource(), err)
	fmt.Println(len(s.Routed()), "calls reached a replica")
	_ = c.Close()

	s.Outage()
	c, err = client.New(ctx, config) // the program starts again, and nobody answers
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	reply, err = c.Route(ctx, clienttest.Request("payment-2"))
	fmt.Println(reply.GetChannels()[0].GetChannel(), reply.GetSource(), err)
	// Output:
	// alpha TABLE_SOURCE_FRESH <nil>
	// 0 calls reached a replica
	// alpha TABLE_SOURCE_FILE <nil>
}

// A gateway reports what attempts came to. Reports are kept until a replica has published them, over outages and, with a file,
// over restarts; the books say what became of every one.
func ExampleClient_Reporter() {
	t, end := forExample()
	defer end()
	ctx := context.Background()
	s := clienttest.New(t)
	c := s.Client()

	r, err := c.Reporter(client.ReporterConfig{
		Name:       "gateway-1",
		OnRejected: func(j client.Rejection) { fmt.Println("refused:", j.Field, j.Reason) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := clienttest.Request("payment-1")
	reply, err := c.Route(ctx, request)
	if err != nil {
		fmt.Println(err)
		return
	}
	report := clienttest.ReportOf(request, reply, client.Result{RawCode: "E00"}) // what the channel said
	fmt.Println(r.Report(ctx, report))
	report.AttemptId, report.Channel = "attempt-of-nobody", "nobody"
	fmt.Println(r.Report(ctx, report))

	fmt.Println(r.Flush(ctx))
	books := r.Stats()
	fmt.Println(books.Attempts, "=", books.Applied, "applied +", books.Dropped.Total(), "dropped")
	// Output:
	// <nil>
	// <nil>
	// refused: channel UNKNOWN_CHANNEL
	// <nil>
	// 2 = 1 applied + 1 dropped
}

// After a failure Next notes the attempt and asks for the following channel. While an attempt is in doubt there is none: the
// money may have moved.
func ExampleClient_Next() {
	t, end := forExample()
	defer end()
	ctx := context.Background()
	c := clienttest.New(t).Client()

	request := clienttest.Request("payment-1")
	reply, err := c.Route(ctx, request)
	fmt.Println(reply.GetChannels()[0].GetChannel(), err)
	reply, err = c.Next(ctx, request, reply, client.Result{RawCode: "E91"}) // it failed definitely
	fmt.Println(reply.GetChannels()[0].GetChannel(), err)
	_, err = c.Next(ctx, request, reply, client.Result{RawCode: "E99"}) // nobody knows
	fmt.Println(status.Code(err))
	// Output:
	// alpha <nil>
	// beta <nil>
	// FailedPrecondition
}
