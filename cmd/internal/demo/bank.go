package demo

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// fault is one planned breakdown: a bank behind one channel, everything else stays well.
type fault struct {
	channel, bank string
	from, to      time.Duration // since the start of the demo
	rate          float64       // part of the attempts that fail while it lasts
}

// lasting reports whether the fault hits an attempt at this time.
func (f *fault) hits(at time.Duration, channel, bank string) bool {
	return at >= f.from && at < f.to && channel == f.channel && bank == f.bank
}

// dialect is how one code table says the three things a bank may answer.
type dialect struct {
	good     string
	declined []string
	failed   []string
}

// dialectOf returns the codes of a code table of the sample catalogue.
func dialectOf(table string) dialect {
	switch table {
	case "upi":
		return dialect{"00", []string{"Z9", "ZM", "Z8"}, []string{"U30", "91"}}
	case "unionpay":
		return dialect{"00", []string{"64", "65"}, []string{"60", "01"}}
	case "alipay":
		return dialect{"10000", []string{"ACQ.BUYER_BALANCE_NOT_ENOUGH"}, []string{"ACQ.PAYMENT_FAIL"}}
	case "wechat":
		return dialect{"SUCCESS", []string{"NOTENOUGH"}, []string{"TRADE_ERROR"}}
	}
	return dialect{"SUCCESS", []string{"USER_ABORTED", "INSUFFICIENT_FUNDS"}, []string{"BANK_TECHNICAL_ERROR"}}
}

// result is what an attempt came to.
type result struct {
	code    string
	failed  bool
	latency time.Duration
}

// banks answers attempts as the published figures say, but for the faults.
type banks struct {
	tables map[string]string // channel → code table
	faults []fault
	broken atomic.Int32 // attempts that met a fault
}

// attempt draws what one attempt meets. latency is lognormal: p50 150 ms, p99 about 600 ms.
func (b *banks) attempt(r *rand.Rand, at time.Duration, channel string, s *stream) result {
	words := dialectOf(b.tables[channel])
	res := result{latency: time.Duration(150*math.Exp(0.6*r.NormFloat64())) * time.Millisecond}
	for i := range b.faults {
		if b.faults[i].hits(at, channel, s.bank) && r.Float64() < b.faults[i].rate {
			b.broken.Add(1)
			res.failed = true
			res.code = pick(r, words.failed)
			return res
		}
	}
	switch x := r.Float64(); {
	case x < s.failed:
		res.failed, res.code = true, pick(r, words.failed)
	case x < s.failed+s.declined:
		res.code = pick(r, words.declined)
	default:
		res.code = words.good
	}
	return res
}

func pick(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }
