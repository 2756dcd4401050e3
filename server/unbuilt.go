package server

import (
	"context"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// What is declared but not built yet answers UNIMPLEMENTED with the reason NOT_BUILT_YET.

// ApplyCatalog is not built yet: start the server with the new file.
func (c *catalogService) ApplyCatalog(context.Context, *sluicev1.ApplyCatalogRequest) (*sluicev1.ApplyCatalogResponse, error) {
	return nil, notBuilt("ApplyCatalog")
}

// ListCatalogRevisions is not built yet.
func (c *catalogService) ListCatalogRevisions(context.Context, *sluicev1.ListCatalogRevisionsRequest) (*sluicev1.ListCatalogRevisionsResponse, error) {
	return nil, notBuilt("ListCatalogRevisions")
}

// RollbackCatalog is not built yet.
func (c *catalogService) RollbackCatalog(context.Context, *sluicev1.RollbackCatalogRequest) (*sluicev1.RollbackCatalogResponse, error) {
	return nil, notBuilt("RollbackCatalog")
}
