package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
)

// atStart begins the author of catalogues that were given to a replica at its start.
const atStart = "serve/"

// apply puts the catalogue given at the start in force if it is another one.
func (n *Node) apply(ctx context.Context, catalog *configv1.Catalog, view *monitor.View, now time.Time) error {
	plan, err := routing.CompilePlan(catalog, nil)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(catalog)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	if aside, err := n.leftAside(ctx, data, view); aside || err != nil {
		return err
	}
	_, err = n.control.ApplyCatalog(ctx, monitor.CatalogRequest{
		Catalog: data, Version: catalog.GetVersion(), Author: atStart + n.cfg.Replica,
		Reason: strings.TrimSuffix("catalogue given at start: "+catalog.GetVersion(), ": "),
		Check:  func(v *monitor.View) error { return plan.CheckOrders(v.StateList()) }, //nolint:wrapcheck // names itself
	}, now)
	return err
}

// leftAside tells whether the catalogue given at the start is another one than somebody has put in force through the API since.
func (n *Node) leftAside(ctx context.Context, given []byte, view *monitor.View) (bool, error) {
	if view.Head.Catalog == 0 || string(given) == string(view.Catalog) {
		return false, nil
	}
	_, info, err := n.cfg.Ledger.Catalog(ctx, view.Head.Catalog)
	if err != nil {
		return false, fmt.Errorf("who put the catalogue in force: %w", err)
	}
	if info.Author == "" || strings.HasPrefix(info.Author, atStart) {
		return false, nil
	}
	n.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "the catalogue given at start is left aside: another one was applied since; apply the file to put it in force",
		slog.Uint64("in_force", info.Number), slog.String("version", info.Version), slog.String("author", info.Author), slog.String("reason", info.Reason))
	return true, nil
}

// ApplyCatalog puts a catalogue in force, which the caller has compiled, and looks at the result at once: when it returns, this
// replica routes by it.
func (n *Node) ApplyCatalog(ctx context.Context, q monitor.CatalogRequest, now time.Time) (monitor.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.control.ApplyCatalog(ctx, q, now)
	if err != nil || q.ValidateOnly {
		return r, err
	}
	return r, n.look(ctx, now)
}

// Catalog returns a catalogue that was put in force, see monitor.Ledger.
func (n *Node) Catalog(ctx context.Context, number uint64) ([]byte, monitor.CatalogRevision, error) {
	return n.cfg.Ledger.Catalog(ctx, number) //nolint:wrapcheck // names itself
}

// Catalogs lists the catalogues that are kept, see monitor.Ledger.
func (n *Node) Catalogs(ctx context.Context) ([]monitor.CatalogRevision, error) {
	return n.cfg.Ledger.Catalogs(ctx) //nolint:wrapcheck // names itself
}
