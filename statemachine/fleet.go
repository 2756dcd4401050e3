package statemachine

// Fleet is what guards and localisation see of the world: the lanes with their members, capacities, states, demand and
// policies. It is immutable once built; lists are sorted.
type Fleet struct {
	Lanes    []LaneMembers
	Pools    []Pool
	Default  Policy
	Policies map[string]Policy // by channel, where it differs from Default
	Channels map[string]ChannelFacts
	States   map[Scope]State // absent = NewState
	Recent   []RecentCut     // automatic cuts of the last minute
}

// Policy returns the policy of a channel.
func (f *Fleet) Policy(channel string) Policy {
	if p, ok := f.Policies[channel]; ok {
		return p
	}
	return f.Default
}

// State returns the state of a scope, NewState if it was never touched.
func (f *Fleet) State(s Scope) State {
	if st, ok := f.States[s]; ok {
		return st
	}
	return NewState(s)
}

// ChannelFacts are the parts of a channel that guards and localisation need.
type ChannelFacts struct {
	Domains     []string
	Instruments []Instrument
	Accounts    []AccountFacts // sorted by id
}

// AccountFacts says for whom a merchant account is.
type AccountFacts struct {
	ID        string
	Entity    string
	Merchants []string // those that may use it, sorted; empty = every merchant of the entity
}

// LaneMembers is one lane with the channels that can carry it, in rank order by configuration.
type LaneMembers struct {
	Lane    Lane
	Members []Member
	Demand  float64 // payments/s over the last minute
}

// Member is one (channel, account) of a lane.
type Member struct {
	Channel string
	Account string
	Weight  float64 // normal weight: its configured part of the lane, 0..1; 0 = a standby, used when those before it are not
	Domains []string
	Pools   []int // indices into Fleet.Pools of every capacity it draws from
}

// Pool is a declared capacity: of a channel, an account or a shared pool.
type Pool struct {
	Name      string
	PerSecond float64 // payments/s; 0 = not declared
	Load      float64 // payments/s over the last minute that went to it
}

// RecentCut is an automatic cut younger than a minute.
type RecentCut struct {
	Scope Scope
	At    Instant
}

// Scopes appends the scopes that apply to a member in a lane, domains included, to buf.
func (m Member) Scopes(l Lane, buf []Scope) []Scope {
	buf = append(buf, ChannelScope(m.Channel), BusinessScope(m.Channel, l.Business), MethodScope(m.Channel, l.Instrument.Method),
		AccountScope(m.Channel, m.Account), InstrumentScope(m.Channel, l.Instrument))
	for _, d := range m.Domains {
		buf = append(buf, DomainScope(d))
	}
	return buf
}

// Proposal is a wish to close a scope or lower its share, by automation or an operator.
type Proposal struct {
	Scope     Scope
	Share     Share    // wished share; 0 = full cut
	Cause     Cause    // Automation or Operator
	Lower     float64  // 99 % lower bound of the failure rate, for the cut budget
	Overrides []string // guards an operator overrides by name
}

// Answer is what a guard decides.
type Answer uint8

// The answers of Guard.
const (
	Allow Answer = iota
	Lower        // not off, but down to Ruling.Share
	Refuse
)

// String returns ALLOW, LOWER or REFUSE.
func (a Answer) String() string {
	switch a {
	case Lower:
		return "LOWER"
	case Refuse:
		return "REFUSE"
	case Allow:
	}
	return "ALLOW"
}

// The guards, by the names used in rulings, overrides and metrics.
const (
	GuardLastUsable     = "LAST_USABLE"     // nothing else usable would be left in a lane
	GuardCapacity       = "CAPACITY"        // survivors cannot carry the demand
	GuardBudget         = "CUT_BUDGET"      // too many automatic cuts in the last minute
	GuardCommonMode     = "COMMON_MODE"     // the fault is ours
	GuardSingleReporter = "SINGLE_REPORTER" // uncoded failures seen by one gateway instance only
)

// Ruling is a guard's answer.
type Ruling struct {
	Answer Answer
	Guard  string // the guard that said no or less; empty for Allow
	Share  Share  // for Lower
	Reason string // a sentence for people, with the lane that is affected most
}
