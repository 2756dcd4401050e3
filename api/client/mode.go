package client

import sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"

// Mode says who decides while everything is well.
type Mode uint8

// The modes.
const (
	RPCFirst   Mode = iota // a replica; the client itself when none answers in time
	LocalFirst             // the client itself, from the snapshot that replicas stream
)

// String returns rpc-first or local-first.
func (m Mode) String() string {
	switch m {
	case LocalFirst:
		return "local-first"
	case RPCFirst:
	}
	return "rpc-first"
}

// Source says where the table behind an answer came from: FRESH, STALE, FILE, ETCD or STATIC.
type Source = sluicev1.TableSource

// The sources, best first.
const (
	SourceNone   = sluicev1.TableSource_TABLE_SOURCE_UNSPECIFIED // no table at all
	SourceFresh  = sluicev1.TableSource_TABLE_SOURCE_FRESH       // from a replica, confirmed lately
	SourceStale  = sluicev1.TableSource_TABLE_SOURCE_STALE       // from a replica, not confirmed for longer than StaleAfter
	SourceFile   = sluicev1.TableSource_TABLE_SOURCE_FILE        // from the client's file
	SourceEtcd   = sluicev1.TableSource_TABLE_SOURCE_ETCD        // from etcd
	SourceStatic = sluicev1.TableSource_TABLE_SOURCE_STATIC      // the order of last resort
)
