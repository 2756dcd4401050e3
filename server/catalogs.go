package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

// catalogService keeps the revisions of the catalogue.
type catalogService struct {
	sluicev1.UnimplementedCatalogServiceServer

	s *Server
}

// revisionsPerPage is the size of a page that asks for none.
const revisionsPerPage = 50

// GetCatalog returns the catalogue in force, also while the ledger is away, or an earlier one. Contacts are for those who may change
// it: what they read can be applied again.
func (c *catalogService) GetCatalog(ctx context.Context, m *sluicev1.GetCatalogRequest) (*sluicev1.GetCatalogResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	inForce := v.View.Head.Catalog
	reply := &sluicev1.GetCatalogResponse{Etag: catalogEtag(inForce)}
	if number := m.GetRevision(); number != 0 && number != inForce {
		var info monitor.CatalogRevision
		if reply.Catalog, info, err = c.kept(ctx, number, inForce); err != nil {
			return nil, err
		}
		reply.Revision = revisionMessage(&info, inForce)
	} else {
		reply.Catalog, reply.Revision = proto.CloneOf(v.Catalog), c.about(ctx, inForce, v.Catalog)
	}
	if !callerOf(ctx).may(owners) {
		for _, ch := range reply.GetCatalog().GetChannels() {
			withoutContacts(ch)
		}
	}
	return reply, nil
}

// kept reads a catalogue that was in force before.
func (c *catalogService) kept(ctx context.Context, number, inForce uint64) (*configv1.Catalog, monitor.CatalogRevision, error) {
	raw, info, err := c.s.cfg.Catalogs.Catalog(ctx, number)
	if errors.Is(err, monitor.ErrNoRevision) {
		return nil, info, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_REVISION,
			fmt.Sprintf("revision %d is not kept: those from %d to %d are", number, monitor.KeptFrom(inForce), inForce))
	}
	if err != nil {
		return nil, info, err //nolint:wrapcheck // becomes a status
	}
	catalog := &configv1.Catalog{}
	if err := proto.Unmarshal(raw, catalog); err != nil {
		return nil, info, fmt.Errorf("%w: catalogue %d: %w", monitor.ErrDamaged, number, err)
	}
	return catalog, info, nil
}

// about tells who put the catalogue in force; without the ledger its number and label alone.
func (c *catalogService) about(ctx context.Context, number uint64, catalog *configv1.Catalog) *sluicev1.CatalogRevision {
	_, info, err := c.s.cfg.Catalogs.Catalog(ctx, number)
	if err != nil {
		c.s.log.LogAttrs(ctx, slog.LevelWarn, "who put the catalogue in force cannot be read", slog.String("error", Redact(err.Error())))
		info = monitor.CatalogRevision{Number: number, Version: catalog.GetVersion()}
	}
	return revisionMessage(&info, number)
}

// ListCatalogRevisions lists what is kept, newest first.
func (c *catalogService) ListCatalogRevisions(ctx context.Context, m *sluicev1.ListCatalogRevisionsRequest) (*sluicev1.ListCatalogRevisionsResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	filters := filtersOf(m)
	below, err := revisionsBelow(filters, m.GetPageToken())
	if err != nil {
		return nil, err
	}
	all, err := c.s.cfg.Catalogs.Catalogs(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // becomes a status
	}
	size := revisionsPerPage
	if m.GetPageSize() > 0 {
		size = int(m.GetPageSize())
	}
	inForce := v.View.Head.Catalog
	if len(all) > 0 {
		inForce = all[0].Number // the sight may be older
	}
	reply := &sluicev1.ListCatalogRevisionsResponse{}
	for i := range all {
		if below != 0 && all[i].Number >= below {
			continue
		}
		if len(reply.GetRevisions()) == size {
			last := reply.GetRevisions()[size-1].GetRevision()
			reply.NextPageToken = pageToken(filters, strconv.FormatUint(last, 10))
			break
		}
		reply.Revisions = append(reply.Revisions, revisionMessage(&all[i], inForce))
	}
	return reply, nil
}

// revisionsBelow returns the number below which a page begins, 0 = the first page.
func revisionsBelow(filters, token string) (uint64, error) {
	key, err := pageKey(filters, token)
	if err != nil || key == "" {
		return 0, err
	}
	below, err := strconv.ParseUint(key, 10, 64)
	if err != nil || below == 0 {
		return 0, invalid("page_token", "next_page_token of the page before")
	}
	return below, nil
}

func revisionMessage(r *monitor.CatalogRevision, inForce uint64) *sluicev1.CatalogRevision {
	return &sluicev1.CatalogRevision{
		Revision: r.Number, Version: r.Version, Author: r.Author, Reason: r.Reason, CreateTime: statepb.FromInstant(r.At),
		InForce: r.Number == inForce && r.Number != 0, RollbackOf: r.RollbackOf,
	}
}

// catalogEtag is the etag while a catalogue is in force.
func catalogEtag(number uint64) string { return strconv.FormatUint(number, 10) }
