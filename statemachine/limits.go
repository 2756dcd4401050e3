package statemachine

// LimitCount is what one router counted for one limit in one second. Units are payments, or minor units of money for a quota
// of an amount.
type LimitCount struct {
	Name    string       // of the limit, e.g. channel/unionpay, account/unionpay/main, pool/uplink, merchant/m-1, quota/daily
	Asked   uint32       // payments that wanted to pass, admitted or not: its demand
	Started int64        // units admitted, of limits that hold units until their result is known
	Ended   []EndedCount // units whose result came, by the second they were decided in, ascending
	Room    int64        // units the router may still begin by itself, at the end of the second
	Total   int64        // units admitted since the router began: what lost seconds had shows in it
}

// EndedCount is units whose result came.
type EndedCount struct {
	Second int64 // they were decided in, Unix
	Units  int64
}

// QuotaCount is what succeeded under one quota in one second; corrections make it negative.
type QuotaCount struct {
	ID    string
	Units int64 // payments, or minor units of the quota's currency
}
