package statemachine

import (
	"errors"
	"fmt"
	"strings"
)

// ErrScope is wrapped by every error of ParseScope and Scope.Validate.
var ErrScope = errors.New("invalid scope")

// ScopeKind says along which dimension a Scope cuts.
type ScopeKind uint8

// The kinds of scope, from the widest to the narrowest of one channel; a failure domain spans channels.
const (
	ScopeUnspecified ScopeKind = iota
	ScopeDomain                // a failure domain: every channel that names it
	ScopeChannel               // a whole channel
	ScopeBusiness              // channel × business type
	ScopeMethod                // channel × method
	ScopeAccount               // channel × merchant account
	ScopeInstrument            // channel × instrument (method, bank, card type)
)

var scopeKindNames = [...]string{"", "domain", "channel", "business", "method", "account", "instrument"} //nolint:gochecknoglobals // read-only table

// String returns the word used in scope strings ("business", "instrument", …), empty for ScopeUnspecified.
func (k ScopeKind) String() string {
	if int(k) < len(scopeKindNames) {
		return scopeKindNames[k]
	}
	return ""
}

// Scope is what a state applies to, and (every kind but ScopeDomain) what is counted: an item.
// It is comparable; its String is the storage key, the metric label and the CLI argument.
type Scope struct {
	Kind    ScopeKind
	Channel string // channel id; empty for ScopeDomain
	Of      string // business type, method, account id, instrument string or domain id; empty for ScopeChannel
}

// ChannelScope returns the scope of a whole channel.
func ChannelScope(channel string) Scope { return Scope{Kind: ScopeChannel, Channel: channel} }

// BusinessScope returns the scope channel × business type.
func BusinessScope(channel string, b BusinessType) Scope {
	return Scope{Kind: ScopeBusiness, Channel: channel, Of: b.String()}
}

// MethodScope returns the scope channel × method.
func MethodScope(channel, method string) Scope {
	return Scope{Kind: ScopeMethod, Channel: channel, Of: method}
}

// AccountScope returns the scope channel × merchant account.
func AccountScope(channel, account string) Scope {
	return Scope{Kind: ScopeAccount, Channel: channel, Of: account}
}

// InstrumentScope returns the scope channel × instrument.
func InstrumentScope(channel string, i Instrument) Scope {
	return Scope{Kind: ScopeInstrument, Channel: channel, Of: i.String()}
}

// DomainScope returns the scope of a failure domain.
func DomainScope(domain string) Scope { return Scope{Kind: ScopeDomain, Of: domain} }

// String renders the scope: "alipay", "alipay/business=COLLECT", "alipay/method=QUICKPAY", "alipay/account=a1",
// "alipay/instrument=QUICKPAY:ICBC:DEBIT" or "domain=unionpay-network".
func (s Scope) String() string {
	switch s.Kind {
	case ScopeChannel:
		return s.Channel
	case ScopeDomain:
		return "domain=" + s.Of
	case ScopeBusiness, ScopeMethod, ScopeAccount, ScopeInstrument:
		return s.Channel + "/" + s.Kind.String() + "=" + s.Of
	case ScopeUnspecified:
	}
	return ""
}

// Compare orders scopes by channel, kind and value, so that no output depends on map order.
func (s Scope) Compare(t Scope) int {
	if c := strings.Compare(s.Channel, t.Channel); c != 0 {
		return c
	}
	if s.Kind != t.Kind {
		return int(s.Kind) - int(t.Kind)
	}
	return strings.Compare(s.Of, t.Of)
}

// ParseScope is the inverse of Scope.String.
func ParseScope(text string) (Scope, error) {
	channel, rest, sub := strings.Cut(text, "/")
	if !sub {
		if of, ok := strings.CutPrefix(text, "domain="); ok {
			s := DomainScope(of)
			return s, s.Validate()
		}
		s := ChannelScope(text)
		return s, s.Validate()
	}
	kind, of, ok := strings.Cut(rest, "=")
	s := Scope{Channel: channel, Of: of}
	switch kind {
	case "business":
		s.Kind = ScopeBusiness
	case "method":
		s.Kind = ScopeMethod
	case "account":
		s.Kind = ScopeAccount
	case "instrument":
		s.Kind = ScopeInstrument
	default:
		ok = false
	}
	if !ok {
		return Scope{}, fmt.Errorf("%w: %q: want CHANNEL, CHANNEL/business=…, /method=…, /account=…, /instrument=METHOD:BANK:CARD or domain=…", ErrScope, text)
	}
	return s, s.Validate()
}

// Validate reports whether the scope is well formed: known kind, names of 1 to 64 of [A-Za-z0-9._-].
func (s Scope) Validate() error {
	bad := func(what, value string) error {
		return fmt.Errorf("%w: %s %q: want 1 to 64 of letters, digits, '.', '_' or '-'", ErrScope, what, value)
	}
	if s.Kind == ScopeUnspecified || s.Kind > ScopeInstrument {
		return fmt.Errorf("%w: no kind", ErrScope)
	}
	if s.Kind != ScopeDomain && !ValidName(s.Channel) {
		return bad("channel", s.Channel)
	}
	switch s.Kind {
	case ScopeBusiness:
		if _, err := ParseBusinessType(s.Of); err != nil {
			return fmt.Errorf("%w: %w", ErrScope, err)
		}
	case ScopeInstrument:
		if _, err := ParseInstrument(s.Of); err != nil {
			return fmt.Errorf("%w: %w", ErrScope, err)
		}
	case ScopeMethod, ScopeAccount, ScopeDomain:
		if !ValidName(s.Of) {
			return bad(s.Kind.String(), s.Of)
		}
	case ScopeChannel:
		if s.Of != "" {
			return bad("channel", s.Of)
		}
	case ScopeUnspecified:
	}
	return nil
}

// ValidName reports whether a name of the catalogue (channel, bank, account, …) is 1 to 64 of [A-Za-z0-9._-].
func ValidName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
		if !ok {
			return false
		}
	}
	return true
}
