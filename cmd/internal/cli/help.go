package cli

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// exitCodesLong is `sluice help exit-codes`.
const exitCodesLong = `Every command ends with one of these exit codes. They are stable: scripts may branch on them.

  0  done
  1  tried and failed, or not found: no such channel, incident or scope; a file or catalogue with problems
  2  wrong usage: the command line, a file it names, or an argument that the server finds wrong
  3  refused: by a guard, by a stale etag, by the state of the scope, or because a newer snapshot would be replaced;
     nothing was changed. Read it again and decide anew
  4  Sluice cannot be reached or cannot act now: no answer, too much under way, its store or the series away.
     Asking again may help. An order is safe to repeat with the same --request-id
  5  catalog diff: the catalogues differ; 0 means that they say the same

The error itself goes to standard error: one line, the stable reason, and what would set it right.`

func newExitCodesHelp() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesLong}
}

//go:embed policy.txt
var policyLong string

// newPolicyHelp is `sluice help policy`: every key of a policy.
func newPolicyHelp() *cobra.Command {
	return &cobra.Command{Use: "policy", Short: "What a policy in the catalogue may say", Long: strings.TrimRight(policyLong, "\n")}
}

//go:embed cheat.txt
var cheatSheet string

// topic is one part of the cheat sheet.
type topic struct {
	name, text string // text begins with the heading
}

// topics cuts the cheat sheet at its headings, lines of their own: `# name: heading`.
func topics() []topic {
	var all []topic
	for part := range strings.SplitSeq("\n"+cheatSheet, "\n# ") {
		if name, text, ok := strings.Cut(part, ": "); ok {
			all = append(all, topic{name, strings.TrimRight(text, "\n") + "\n"})
		}
	}
	return all
}

func (a *app) newCheat() *cobra.Command {
	var names []string
	for _, t := range topics() {
		names = append(names, t.name)
	}
	return &cobra.Command{
		Use:       "cheat [TOPIC]",
		Short:     "Show the commands for what operators do",
		Long:      "Show the commands for what operators do, all or those of one topic: " + strings.Join(names, ", ") + ".",
		Example:   "  sluice cheat\n  sluice cheat incident",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && !slices.Contains(names, args[0]) {
				return usagef("there is no topic %q; there are %s", args[0], strings.Join(names, ", "))
			}
			return a.print(a.view().cheatText(args))
		},
	}
}

// cheatText renders the topics, all or one.
func (v view) cheatText(only []string) string {
	var b strings.Builder
	for _, t := range topics() {
		if len(only) > 0 && t.name != only[0] {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		heading, lines, _ := strings.Cut(t.text, "\n")
		b.WriteString(v.paint.text(bold, heading) + v.paint.text(dim, "  (sluice cheat "+t.name+")") + "\n")
		for line := range strings.Lines(lines) {
			command, comment, commented := strings.Cut(strings.TrimSuffix(line, "\n"), "  # ")
			b.WriteString("  " + command)
			if commented {
				b.WriteString(v.paint.text(dim, fmt.Sprintf("  # %s", comment)))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
