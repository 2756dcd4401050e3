// Package ledgertest holds what every monitor.Ledger must do, as one suite that the ledger in memory and the one in etcd
// both pass, and a wrapper that makes a ledger fail on purpose.
package ledgertest
