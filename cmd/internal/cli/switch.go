package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// switchFlags are the flags of the commands that give an order.
type switchFlags struct {
	changeFlags

	until    string
	lasting  time.Duration
	override []string
	now      bool
}

func (a *app) newSwitches() []*cobra.Command {
	return []*cobra.Command{
		a.newSwitch(sluicev1.Action_ACTION_OFF, "Close a channel or a part of it",
			"Close a channel or a part of it until the order ends (30 minutes, unless --for or --until says otherwise) or is\nreleased. It comes back through probes and the ramp, never at once."),
		a.newSwitch(sluicev1.Action_ACTION_ON, "Open it again, through the ramp",
			"Open a closed scope through the ramp and give it back to automation, which may close it again.\nWith --now it is opened fully at once, until the order ends; automation only observes meanwhile."),
		a.newSwitch(sluicev1.Action_ACTION_HOLD, "Freeze it: automation keeps its hands off",
			"Freeze phase and share: automation keeps its hands off until the order ends or is released."),
		a.newSwitch(sluicev1.Action_ACTION_RELEASE, "Take off, on --now and hold away",
			"Take off, on --now and hold away. What was off is probed first."),
		a.newSwitch(sluicev1.Action_ACTION_SUSPEND, "Close it for compliance or contract, without an end",
			"Close a scope for compliance or contract. It has no end; only lift takes it away."),
		a.newSwitch(sluicev1.Action_ACTION_LIFT, "Take a suspension away (approvers)",
			"Take a suspension away. The scope is probed first. Only approvers may."),
	}
}

func (a *app) newSwitch(action sluicev1.Action, short, long string) *cobra.Command {
	f := &switchFlags{}
	name := verb(action)
	cmd := a.client(&cobra.Command{
		Use:   name + " SCOPE --reason TEXT",
		Short: short,
		Long: long + `

Where the traffic will go is shown first, and a question asked unless --yes. The command that undoes the order is
printed last.

` + scopeHelp,
		Example: "  sluice " + name + " alipay/bank=ICBC --reason 'timeouts since 03:01'",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: a.completeScope,
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := a.order(action, f, args[0])
			if err != nil {
				return err
			}
			return a.throw(cmd.Context(), request, &f.changeFlags, given(cmd))
		},
	})
	f.register(cmd, "order", "the scope has changed since it had this etag")
	s := cmd.Flags()
	s.StringSliceVar(&f.override, "override", nil, "override this `GUARD`: "+strings.Join(guards(), ", "))
	switch action { //nolint:exhaustive // The others have no end.
	case sluicev1.Action_ACTION_OFF, sluicev1.Action_ACTION_ON, sluicev1.Action_ACTION_HOLD:
		s.DurationVar(&f.lasting, "for", 0, "how long the order stands, e.g. 30m")
		s.StringVar(&f.until, "until", "", "when the order ends: `TIME` as 06:00 (the next one, local) or 2026-11-23T06:00:00Z")
	}
	if action == sluicev1.Action_ACTION_ON {
		s.BoolVar(&f.now, "now", false, "open fully at once instead of through the ramp")
	}
	return cmd
}

// order builds the request from the command line, but for what makes it one of several.
func (a *app) order(action sluicev1.Action, f *switchFlags, arg string) (*sluicev1.SwitchChannelRequest, error) {
	if err := a.checkFormat(); err != nil {
		return nil, err
	}
	scope, err := parseScope(arg)
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.now {
		action = sluicev1.Action_ACTION_ON_NOW
	}
	r := &sluicev1.SwitchChannelRequest{Action: action, Scope: scope, Reason: f.reason}
	if r.OverrideGuards, err = parseGuards(f.override); err != nil {
		return nil, err
	}
	return r, a.setExpiry(r, f)
}

// guards lists the names of the guards.
func guards() []string {
	var list []string
	for i := int32(1); int(i) < len(sluicev1.Guard_name); i++ {
		list = append(list, strings.TrimPrefix(sluicev1.Guard(i).String(), "GUARD_"))
	}
	return list
}

// parseGuards reads the names of guards, in any case and with dashes too.
func parseGuards(names []string) ([]sluicev1.Guard, error) {
	var list []sluicev1.Guard
	for _, n := range names {
		g := sluicev1.Guard(sluicev1.Guard_value["GUARD_"+strings.ToUpper(strings.ReplaceAll(n, "-", "_"))])
		if g == sluicev1.Guard_GUARD_UNSPECIFIED {
			return nil, usagef("--override %q: want %s", n, strings.Join(guards(), ", "))
		}
		list = append(list, g)
	}
	return list, nil
}
