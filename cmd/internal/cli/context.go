package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/statemachine"
)

const contextHelp = `A context names a server and how it is reached, so that the flags need not be typed at night. Contexts are kept in
~/.config/sluice/contexts.yaml, which holds the names of files with tokens, never a token.

In force is: --context; else --address or $SLUICE_ADDRESS without any context, so that its token goes nowhere else; else
$SLUICE_CONTEXT; else the one that is in use. Flags and environment win over what a context says.`

func (a *app) newContext() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Name servers and how they are reached",
		Long:  "Name servers and how they are reached.\n\n" + contextHelp,
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.newContextSet(), a.newContextUse(), a.newContextList(), a.newContextShow(), a.newContextDelete())
	return cmd
}

func (a *app) newContextSet() *cobra.Command {
	var given savedContext
	cmd := &cobra.Command{
		Use:   "set NAME --address HOST:PORT",
		Short: "Make a context, or change what the flags name",
		Long: `Make a context, or change what the flags name; an empty value takes it away. The first context made is put in use.

` + contextHelp,
		Example: "  sluice context set prod --address sluice.example:7600 --ca ca.pem --token-file ~/.config/sluice/prod.token",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given.Name = args[0]
			return a.setContext(cmd, given)
		},
		ValidArgsFunction: a.completeContext,
	}
	f := cmd.Flags()
	f.StringVar(&given.Address, "address", "", "`HOST:PORT` of the server")
	f.StringVar(&given.TokenFile, "token-file", "", "`FILE` with the bearer token, readable by you alone")
	f.StringVar(&given.CA, "ca", "", "PEM `FILE` with the authorities that the server's certificate is checked against")
	f.StringVar(&given.Cert, "cert", "", "PEM `FILE` with the client's certificate")
	f.StringVar(&given.Key, "key", "", "PEM `FILE` with the key of --cert")
	f.BoolVar(&given.Insecure, "insecure", false, "plaintext to a server that is not on this machine")
	return cmd
}

func (a *app) setContext(cmd *cobra.Command, given savedContext) error {
	if !statemachine.ValidName(given.Name) {
		return usagef("context %q: want 1 to 64 of letters, digits, '.', '_' or '-'", given.Name)
	}
	saved, err := a.loadContexts()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(saved.Contexts, func(c savedContext) bool { return c.Name == given.Name })
	if i < 0 {
		saved.Contexts = append(saved.Contexts, savedContext{Name: given.Name})
		i = len(saved.Contexts) - 1
	}
	if err := saved.Contexts[i].change(cmd, &given); err != nil {
		return err
	}
	if saved.Current == "" {
		saved.Current = given.Name
	}
	inUse := saved.Current == given.Name
	if err := a.save(saved); err != nil {
		return err
	}
	if inUse {
		return a.print(fmt.Sprintf("context %s is saved and in use\n", given.Name))
	}
	return a.print(fmt.Sprintf("context %s is saved; `sluice context use %s` puts it in use\n", given.Name, given.Name))
}

// change takes over what the command line gives. Names of files are made absolute: a context is used from anywhere.
func (c *savedContext) change(cmd *cobra.Command, given *savedContext) error {
	for _, f := range []struct {
		flag string
		from string
		to   *string
		file bool
	}{
		{"address", given.Address, &c.Address, false},
		{"token-file", given.TokenFile, &c.TokenFile, true},
		{"ca", given.CA, &c.CA, true},
		{"cert", given.Cert, &c.Cert, true},
		{"key", given.Key, &c.Key, true},
	} {
		if !cmd.Flags().Changed(f.flag) {
			continue
		}
		*f.to = f.from
		if f.file && f.from != "" {
			absolute, err := filepath.Abs(f.from)
			if err != nil {
				return usagef("--%s: %w", f.flag, err)
			}
			*f.to = absolute
		}
	}
	if cmd.Flags().Changed("insecure") {
		c.Insecure = given.Insecure
	}
	if c.Address == "" {
		return usagef("context %s needs --address HOST:PORT", c.Name)
	}
	local, err := onThisMachine(c.Address)
	if err != nil {
		return err
	}
	_, err = (&connectionFlags{ca: c.CA, cert: c.Cert, key: c.Key, insecure: c.Insecure}).transport(local)
	return err
}

func (a *app) newContextUse() *cobra.Command {
	return &cobra.Command{
		Use:     "use NAME",
		Short:   "Put a context in use",
		Example: "  sluice context use prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			saved, err := a.loadContexts()
			if err != nil {
				return err
			}
			c, err := saved.find(args[0])
			if err != nil {
				return err
			}
			saved.Current = c.Name
			if err := a.save(saved); err != nil {
				return err
			}
			return a.print(fmt.Sprintf("context %s, %s, is in use\n", c.Name, c.Address))
		},
		ValidArgsFunction: a.completeContext,
	}
}

func (a *app) newContextDelete() *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME",
		Short:   "Forget a context; its files stay",
		Example: "  sluice context delete staging",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			saved, err := a.loadContexts()
			if err != nil {
				return err
			}
			if _, err := saved.find(args[0]); err != nil {
				return err
			}
			saved.Contexts = slices.DeleteFunc(saved.Contexts, func(c savedContext) bool { return c.Name == args[0] })
			if saved.Current == args[0] {
				saved.Current = ""
			}
			if err := a.save(saved); err != nil {
				return err
			}
			return a.print(fmt.Sprintf("context %s is forgotten\n", args[0]))
		},
		ValidArgsFunction: a.completeContext,
	}
}

func (a *app) newContextList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the contexts",
		Example: "  sluice context list",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.checkFormat(); err != nil {
				return err
			}
			saved, err := a.loadContexts()
			if err != nil {
				return err
			}
			return a.showValue(saved, func(v view) string { return v.contextsText(saved) })
		},
	}
	a.formats(cmd)
	return cmd
}

func (v view) contextsText(saved *savedContexts) string {
	if len(saved.Contexts) == 0 {
		return "no contexts; `sluice context set NAME --address HOST:PORT` makes one\n"
	}
	t := table{}
	t.add("  CONTEXT", "ADDRESS", "TRANSPORT", "TOKEN FILE")
	for _, c := range saved.Contexts {
		mark := "  "
		if c.Name == saved.Current {
			mark = "* "
		}
		t.add(mark+c.Name, clean(c.Address), c.transportWord(), clean(c.TokenFile))
	}
	return t.String()
}

// transportWord says how the context talks to its server.
func (c *savedContext) transportWord() string {
	local, err := onThisMachine(c.Address)
	switch {
	case c.Cert != "":
		return "TLS, own certificate"
	case c.CA != "":
		return "TLS, own authorities"
	case c.Insecure || err == nil && local:
		return "plaintext"
	}
	return "TLS"
}

func (a *app) newContextShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show [NAME]",
		Short:   "Show a context, by default the one in force",
		Example: "  sluice context show\n  sluice context show prod -o yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.checkFormat(); err != nil {
				return err
			}
			a.context = strings.Join(args, "")
			c, err := a.chosen()
			if err != nil {
				return err
			}
			if c == nil {
				return a.print("no context is in force: the server is " + a.target() + "\n")
			}
			return a.showValue(c, func(view) string { return c.text() })
		},
		ValidArgsFunction: a.completeContext,
	}
	a.formats(cmd)
	return cmd
}

func (c *savedContext) text() string {
	t := table{}
	for _, row := range [][2]string{
		{"context", c.Name},
		{"address", c.Address},
		{"transport", c.transportWord()},
		{"token file", c.TokenFile},
		{"ca", c.CA},
		{"cert", c.Cert},
		{"key", c.Key},
	} {
		if row[1] != "" {
			t.add(row[0], clean(row[1]))
		}
	}
	return t.String()
}
