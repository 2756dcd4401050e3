// Package redisstore is the Redis side of monitor: the Exchange by which replicas see one another's closed seconds, the
// Claims by which an attempt that several replicas were told of is counted once, and the Series that people and tools
// read. It needs Redis 7.0 or newer (or Valkey), one primary behind one address, with maxmemory-policy noeviction:
// Check says what is wrong.
//
// Every write is idempotent, because one that timed out may have happened, and may happen later still: a row carries a
// version, so that a late write does not replace a newer one, and a fence, so that a replica whose claims were taken
// over cannot publish what it no longer owns. An operation has 50 ms; after three in a row that overran, a breaker stops
// asking for a second, then lets one try.
//
// # Keys
//
//	<env>:second:<s>              hash: replica → its packed row of Unix second s; 15 minutes
//	<env>:published:<s>           hash: row:<replica> → boot and version published, fence:<replica> → takeovers
//	<env>:claim:<attempt>         stage, outcome, second, boot and replica that counted the attempt first; an hour.
//	                              With :result the first result after a PENDING, with :final the final result
//	<env>:claims                  second since which claims are kept: younger than expected if Redis came back empty
//	<env>:items                   set: items that a series is kept of
//	{<env>:<item>}:seconds        zset: seconds with traffic; 10 minutes
//	{<env>:<item>}:<s>            hash: success, fail, answered, bad, latency_ms, latencies, outcome:<OUTCOME>,
//	                              sent:normal|probe|ramp, reason:<reason>; those that are 0 are left out, success and
//	                              fail apart
//	{<env>:<item>}:minutes        zset: begins of minutes with traffic; 48 hours
//	{<env>:<item>}:minute:<m>     hash: the same, summed over the minute
//
// # Memory
//
// Measured with Redis 7.0.15: an item-second of a series takes 315 bytes (MEMORY USAGE of the hash and its part of the
// index: 295), so 1,000 items with traffic in every second take 190 MB in 10 minutes; a minute about as much as a second.
// A claim takes 144 bytes: 1,000 reports a second for an hour take 520 MB (Options.ClaimSeconds). A packed row takes
// about 52 bytes per active item.
package redisstore
