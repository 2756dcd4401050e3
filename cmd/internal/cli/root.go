package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

// Options is what a run of the command line takes from its process.
type Options struct {
	// Args is the command line without the program's name.
	Args []string
	// In is where confirmations are read from.
	In io.Reader
	// Out takes what was asked for, Err everything else.
	Out, Err io.Writer
	// Env looks up an environment variable, as os.Getenv does.
	Env func(string) string
	// Version is shown by `sluice --version`.
	Version string
	// Commands are commands of other packages, shown beside the clients' commands: serve, dev, simulate.
	Commands []*cobra.Command
}

// Run runs a command line and returns the exit code of the process, one of the Exit constants unless a command of
// Options.Commands fails with an error that has a method ExitCode() int. Errors are printed to Options.Err.
func Run(ctx context.Context, o Options) int {
	a := &app{Options: o, clock: time.Now, zone: time.Local, backoff: 250 * time.Millisecond, interactive: isTerminal}
	return a.run(ctx)
}

// app is one run of the command line.
type app struct {
	Options

	clock   func() time.Time
	zone    *time.Location
	backoff time.Duration     // pause before an order is sent again, doubled each time
	reread  time.Duration     // between pictures of a watch; 0 = rereadEvery
	dialing []grpc.DialOption // tests reach their server by these
	// interactive says whether somebody can be asked at the other end of a stream.
	interactive func(stream any) bool
	conn        connectionFlags
	context     string // --context
	format      string // of the output: table, json or yaml
}

const (
	groupSee = "see"
	groupAct = "act"
	groupRun = "run"
)

func (a *app) run(ctx context.Context) int {
	root := a.newRoot() //nolint:contextcheck // Commands get their context from ExecuteContext below.
	root.SetArgs(a.Args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errDiffers): // an answer, and it was printed
		return ExitDiffers
	}
	var fix []string
	if helped, ok := errors.AsType[helpedError](err); ok {
		fix = helped.fix
	}
	fmt.Fprint(a.Err, failure(err, a.target(), fix))
	return exitCode(err)
}

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Sluice decides which payment channel a payment goes through, and closes the gate on channels that fail",
		Long:          "Sluice decides which payment channel a payment goes through, and closes the gate on channels that fail.\n\n" + exitCodesHelp,
		Version:       a.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(
		&cobra.Group{ID: groupSee, Title: "See what is going on:"},
		&cobra.Group{ID: groupAct, Title: "Throw a gate by hand:"},
		&cobra.Group{ID: groupRun, Title: "Run and check:"},
	)
	a.group(root, groupSee, a.newNow(), a.newWhy(), a.newWatch(), a.newIncidents(), a.newChannels(), a.newSeries(), a.newAudit())
	a.group(root, groupAct, a.newSwitches()...)
	a.group(root, groupRun, append([]*cobra.Command{a.newCatalog(), a.newSnapshot(), a.newContext(), a.newCheat()}, a.Commands...)...)
	root.AddCommand(newExitCodesHelp(), newPolicyHelp())
	root.SetHelpCommandGroupID(groupRun)
	root.SetCompletionCommandGroupID(groupRun)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nrun `%s --help`", err, cmd.CommandPath())
	})
	strict(root)
	return root
}

func (*app) group(root *cobra.Command, id string, list ...*cobra.Command) {
	for _, c := range list {
		c.GroupID = id
		root.AddCommand(c)
	}
}

// strict makes mistakes in arguments usage errors, in this command and those below it.
func strict(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, list []string) error {
			if err := args(cmd, list); err != nil {
				return usagef("%w\nrun `%s --help`", err, cmd.CommandPath())
			}
			return nil
		}
	}
	if !cmd.Runnable() && cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, list []string) error {
			if len(list) > 0 {
				return usagef("there is no command %q\nrun `%s --help`", cmd.CommandPath()+" "+list[0], cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// client makes a command a client of the API: it gets the flags of the connection and of the output.
func (a *app) client(cmd *cobra.Command) *cobra.Command {
	a.connection(cmd)
	a.formats(cmd)
	return cmd
}

// formats gives a command the flag of the output.
func (a *app) formats(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.format, "output", "o", formatTable, "table, json (the reply as protojson) or yaml (the same)")
	complete(cmd, "output", cobra.FixedCompletions([]string{formatTable, formatJSON, formatYAML}, cobra.ShellCompDirectiveNoFileComp))
}
