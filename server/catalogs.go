package server

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// catalogService shows the catalogue.
type catalogService struct {
	sluicev1.UnimplementedCatalogServiceServer

	s *Server
}

// GetCatalog returns the catalogue in force. Earlier ones are not read yet. Contacts are for operators only.
func (c *catalogService) GetCatalog(ctx context.Context, m *sluicev1.GetCatalogRequest) (*sluicev1.GetCatalogResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	number := v.View.Head.Catalog
	if m.GetRevision() != 0 && m.GetRevision() != number {
		return nil, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_REVISION,
			"only the catalogue in force can be shown, revision "+strconv.FormatUint(number, 10))
	}
	catalog := proto.CloneOf(v.Catalog)
	if !callerOf(ctx).may(operators) {
		for _, ch := range catalog.GetChannels() {
			withoutContacts(ch)
		}
	}
	return &sluicev1.GetCatalogResponse{
		Catalog: catalog, Revision: &sluicev1.CatalogRevision{Revision: number, Version: v.Catalog.GetVersion(), InForce: true},
		Etag: strconv.FormatUint(number, 10),
	}, nil
}
