package simulate

import (
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// sequentialByDefault is the one switch: the sequential detector speaks where a catalogue names none. Scenarios that windows
// cannot see are skipped while it does not, and bounds are those of the windows.
func sequentialByDefault() bool {
	return statemachine.DefaultPolicy().Detector == statemachine.DetectorSequential
}

// expectation is what a scenario of the repository must come to.
type expectation struct {
	cuts       []string // scopes that automation may cut, a channel with all inside it; nil = nothing may be cut
	detected   float64  // seconds that detection may take; 0 = there is nothing to detect
	recovered  float64  // seconds that recovery may take; 0 = the run is too short to see it
	samples    uint64   // attempts inside the label that may be started before the cut, sequential detector; 0 = any
	windows    *limits  // instead of detected and recovered while windows are the default
	sequential bool     // only the sequential detector meets this
	alerts     []string // kinds that must be raised
	told       []string // kinds that must be raised beside the sequential detector
	moved      float64  // greatest part of all payments that may be kept off a well channel
	check      func(t *testing.T, lines []map[string]any)
}

// limits are bounds of one detector, in seconds.
type limits struct{ detected, recovered float64 }

const (
	upChannel, icbcScope = "unionpay-api", "unionpay-api/QUICKPAY:ICBC:DEBIT"
	upDomain             = "domain=unionpay-network"
)

// Bounds of one run, from the table of what detection must reach: a single run is no median, so that time to detect may be
// about twice to three times the wanted median, and recovery the wanted 90 % quantile plus three times the slowest reply.
const (
	busyHard, busyAny, busyBack       = 10, 30, 100
	mediumHard, mediumAny, mediumBack = 60, 150, 310
	quietHard, quietBack              = 300, 410
	quietSamples                      = 16
)

var expectations = map[string]expectation{
	// Nothing is wrong.
	"healthy-hour": {}, "medium-healthy": {}, "quiet-healthy": {}, "upi-july-2025-healthy": {},
	// Everything moves, and nothing is wrong.
	"moving-baselines": {}, "traffic-bursts": {}, "merchant-campaign": {}, "merchant-campaign-on-one-channel": {}, "high-declines": {},
	"wandering-baselines-0-3": {}, "wandering-baselines-0-5": {sequential: true}, "upi-february-2023-high-baseline": {},
	"fast-failures-slow-successes": {},
	// Traffic.
	"channel-hard-down":                  {cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{15, 180}, moved: 0.05},
	"channel-hard-down-at-30-per-second": {cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{15, 180}, moved: 0.08},
	"channel-hard-down-at-200-per-second": {
		cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{15, 180}, moved: 0.2, check: neverTwice,
	},
	"one-bank-down-at-3000-per-second": {cuts: one(icbcScope), detected: busyHard, moved: 0.06, check: othersUnharmed},
	"fault-in-a-burst":                 {cuts: up(), detected: busyHard, recovered: busyBack, moved: 0.05},
	"medium-hard-down":                 {cuts: up(), detected: mediumHard, recovered: mediumBack, samples: quietSamples, moved: 0.05},
	"medium-half-failing":              {cuts: up(), detected: mediumAny, recovered: mediumBack, moved: 0.06},
	"medium-one-bank-down":             {cuts: one(icbcScope), detected: mediumHard, recovered: mediumBack, windows: &limits{60, 700}, samples: quietSamples, moved: 0.05},
	"quiet-hard-down":                  {cuts: up(), detected: quietHard, recovered: quietBack, samples: quietSamples, moved: 0.05},
	"quiet-hanging":                    {cuts: up(), detected: quietHard, recovered: quietBack, windows: &limits{400, 900}, samples: quietSamples, moved: 0.05},
	"quiet-half-failing":               {cuts: up(), detected: quietHard, recovered: quietBack, samples: 3 * quietSamples, moved: 0.05},
	"quiet-payer-in-anger":             {},
	"one-payment-a-minute-hard-down":   {sequential: true, cuts: up(), detected: 2400, recovered: 1800, samples: quietSamples, moved: 0.1},
	"diurnal-day":                      {sequential: true, cuts: up(), detected: quietHard, recovered: 600, samples: quietSamples, moved: 0.05},
	// Size of the fault.
	"channel-half-failing":        {cuts: up(), detected: busyAny, recovered: busyBack, windows: &limits{30, 500}, moved: 0.2},
	"channel-failing-20-percent":  {cuts: up(), detected: 45, recovered: 150, windows: &limits{45, 400}, moved: 0.15},
	"channel-failing-10-percent":  {sequential: true, cuts: up(), detected: 120, recovered: mediumBack, moved: 0.15},
	"channel-failing-5-percent":   {sequential: true, cuts: up(), detected: 400, recovered: 600, moved: 0.2},
	"creeping-fault":              {sequential: true, cuts: up(), detected: 1200, recovered: mediumBack, moved: 0.1},
	"slow-then-failing":           {cuts: up(), detected: busyAny, recovered: busyBack, windows: &limits{45, 0}, moved: 0.2},
	"hanging":                     {cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{30, 300}, moved: 0.1},
	"hanging-before-the-timeouts": {cuts: up(), detected: 15, recovered: 190, windows: &limits{45, 300}, moved: 0.1},
	"half-hanging":                {cuts: up(), detected: busyAny, recovered: 90, windows: &limits{45, 0}, moved: 0.2},
	"channel-down-by-raw-code":    {cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{15, 180}, moved: 0.05},
	// Scopes.
	oneBank:                       {cuts: one(icbcScope), detected: busyAny, recovered: busyBack, windows: &limits{30, 180}, moved: 0.03, check: othersUnharmed},
	"one-account-failing":         {cuts: one("unionpay-api/account=up-2"), detected: busyAny, recovered: busyBack, windows: &limits{30, 180}, moved: 0.05},
	"one-business-type-failing":   {cuts: one("unionpay-api/business=PAYOUT"), detected: busyAny, recovered: busyBack, windows: &limits{30, 180}, moved: 0.04},
	"one-method-failing":          {cuts: one("unionpay-api/WALLET:-:-", "unionpay-api/method=WALLET"), detected: busyAny, recovered: busyBack, windows: &limits{30, 180}, moved: 0.05},
	"one-card-type-failing":       {cuts: one("unionpay-api/QUICKPAY:ICBC:CREDIT"), detected: busyAny, recovered: 180, moved: 0.04},
	"bank-down-everywhere":        {alerts: one("BANK_DOWN")},
	"upi-february-2023-bank-down": {sequential: true, alerts: one("BANK_DOWN")},
	"merchant-failing-everywhere": {sequential: true},
	"last-usable-channel":         {alerts: one("ORDER_REFUSED")},
	"upi-july-2025-one-bank":      {cuts: one("upi-kaveri/UPI:SBI:-"), detected: busyAny, recovered: busyBack, windows: &limits{30, 500}, moved: 0.06},
	"upi-july-2025-half-failing":  {cuts: one("upi-godavari"), detected: busyAny, recovered: busyBack, windows: &limits{30, 0}, moved: 0.2},
	// Sequences.
	"flapping":    {cuts: up(), detected: busyAny, recovered: 900, moved: 0.6},
	"relapse":     {cuts: up(), detected: busyHard, recovered: 400, moved: 0.2},
	"two-at-once": {cuts: one("unionpay-api/QUICKPAY:CCB:DEBIT", "cardlink"), detected: busyAny, recovered: 240, moved: 0.05},
	"staggered":   {cuts: one(upChannel, "cardlink"), detected: busyHard, recovered: busyBack, windows: &limits{15, 240}, moved: 0.1},
	// Traps.
	"decline-burst": {}, "payer-in-anger": {}, "sick-gateway": {}, "sick-gateway-on-one-channel": {}, "one-silent-gateway": {}, "silent-gateways": {},
	"decline-burst-on-one-channel":      {told: one("DECLINE_BURST")},
	"our-own-network":                   {alerts: one("COMMON_MODE")},
	"our-own-network-staggered":         {alerts: one("COMMON_MODE")},
	"our-own-network-over-many-items":   {alerts: one("COMMON_MODE")},
	"our-own-network-within-a-second":   {alerts: one("COMMON_MODE")},
	"our-own-network-at-medium-traffic": {alerts: one("COMMON_MODE")},
	"fault-after-common-mode":           {sequential: true, cuts: up(), detected: 60, recovered: mediumBack, alerts: one("COMMON_MODE"), moved: 0.1},
	"throttled-survivors":               {cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{15, 240}, moved: 0.1},
	// Reports.
	"duplicate-and-late-reports":     {cuts: up(), detected: busyAny, recovered: 150, windows: &limits{30, 300}, moved: 0.1},
	"lost-reports":                   {cuts: up(), detected: busyAny, recovered: busyBack, windows: &limits{30, 300}, moved: 0.1},
	"reports-held-back":              {cuts: up(), detected: 60, recovered: 145, windows: &limits{60, 300}, moved: 0.1},
	"pending-before-final":           {cuts: up(), detected: 60, recovered: mediumBack, moved: 0.1},
	"late-failures-of-a-cut-channel": {cuts: up(), detected: busyHard, recovered: busyBack, moved: 0.1, check: neverTwice},
	"success-rate-swings":            {cuts: up(), detected: busyHard, recovered: busyBack, windows: &limits{15, 180}, moved: 0.05},
	// Operators and the control plane.
	"operator-off-on":           {check: ordersObeyed},
	"three-replicas-one-killed": {cuts: up(), detected: busyAny, recovered: 150, windows: &limits{30, 500}, moved: 0.1},
	"redis-down":                {cuts: up(), detected: 60, recovered: 150, windows: &limits{60, 300}, moved: 0.12},
	"redis-slow":                {cuts: up(), detected: 60, recovered: 150, windows: &limits{60, 300}, moved: 0.12},
	"etcd-down-during-a-fault":  {cuts: up(), detected: 45, recovered: 150, windows: &limits{45, 300}, moved: 0.1, check: neverTwice},
	"leader-killed-in-a-ramp":   {cuts: up(), detected: busyAny, recovered: busyBack, moved: 0.08, check: neverTwice},
	"clock-steps":               {cuts: up(), detected: busyAny, recovered: 250, moved: 0.12, check: neverTwice},
	// Guards.
	"shared-failure-domain":          {cuts: one(upDomain), detected: 15, recovered: 120, moved: 0.05},
	"failure-domain-among-many":      {cuts: one(upDomain, upChannel, "netsunion", "cardlink"), detected: 15, recovered: busyBack, windows: &limits{15, 240}, moved: 0.15, check: domainCut},
	"capacity-left":                  {cuts: up(), detected: 15, recovered: busyBack, moved: 0.05, check: neverClosed},
	"three-channels-within-a-minute": {cuts: one(upChannel, "cardlink", "paybridge"), detected: 90, recovered: mediumBack, windows: &limits{60, 0}, moved: 0.25, check: budgetKept},
}

func up() []string { return one(upChannel) }

func one(names ...string) []string { return names }
