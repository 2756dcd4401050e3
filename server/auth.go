package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Role is what a caller may do. Roles are a set of bits.
type Role uint8

// The roles.
const (
	Viewer   Role = 1 << iota // sees channels, incidents, catalogue and journal
	Cashier                   // asks for routes and payment options
	Gateway                   // reports results
	Operator                  // gives orders and changes the catalogue
	Approver                  // lifts what compliance suspended; may do what an operator may
	Owner                     // changes the catalogue and gives no orders: the routing owner
	allRoles = Viewer | Cashier | Gateway | Operator | Approver | Owner
)

// maxTokenBytes bounds what is hashed for a caller that is not known yet.
const maxTokenBytes = 1024

// ErrIdentity is wrapped by errors about Config.Identities.
var ErrIdentity = errors.New("invalid identity")

// ParseRole is the inverse of Role.String for one role.
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Owner; r <<= 1 {
		if r.String() == s {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%w: role %q: want viewer, cashier, gateway, operator, approver or owner", ErrIdentity, s)
}

// String lists the names of the roles in the set, divided by commas.
func (r Role) String() string {
	var names []string
	for _, one := range [...]struct {
		role Role
		name string
	}{{Viewer, "viewer"}, {Cashier, "cashier"}, {Gateway, "gateway"}, {Operator, "operator"}, {Approver, "approver"}, {Owner, "owner"}} {
		if r&one.role != 0 {
			names = append(names, one.name)
		}
	}
	return strings.Join(names, ",")
}

// Identity is a caller known by a bearer token.
type Identity struct {
	Name      string   // author of orders, reporter of results; 1 to 200 bytes
	TokenHash [32]byte // SHA-256 of the token, so that a leaked configuration is no leaked token
	Roles     Role

	PerSecond  float64 // RPCs and batches a second; 0 = Config.PerSecond, below 0 = no limit
	Burst      int     // of them at once; 0 = those of one second
	MaxStreams int     // streams at once; 0 = Config.MaxStreams

	limits *limits
}

// HashToken returns what Identity.TokenHash has to be for a token.
func HashToken(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// authenticator tells who calls.
type authenticator struct {
	identities []Identity
	anonymous  *Identity // who calls without a token; nil = nobody may
}

func newAuthenticator(identities []Identity, anonymous bool) (*authenticator, error) {
	a := &authenticator{identities: slices.Clone(identities)}
	if anonymous {
		a.anonymous = &Identity{Name: "anonymous", Roles: allRoles}
	}
	if len(identities) == 0 && !anonymous {
		return nil, fmt.Errorf("%w: none is given: nobody could call", ErrIdentity)
	}
	for i, id := range identities {
		switch {
		case id.Name == "" || len(id.Name) > 200:
			return nil, fmt.Errorf("%w: number %d: name: want 1 to 200 bytes", ErrIdentity, i)
		case id.Roles == 0 || id.Roles&^allRoles != 0:
			return nil, fmt.Errorf("%w: %s: want at least one role of %s", ErrIdentity, id.Name, allRoles)
		case id.TokenHash == [32]byte{} || id.TokenHash == HashToken(""):
			return nil, fmt.Errorf("%w: %s: want the SHA-256 of a token", ErrIdentity, id.Name)
		}
		for _, other := range identities[:i] {
			if other.Name == id.Name || other.TokenHash == id.TokenHash {
				return nil, fmt.Errorf("%w: %s shares its name or token with another", ErrIdentity, id.Name)
			}
		}
	}
	return a, nil
}

// limit gives every caller its limits.
func (a *authenticator) limit(c *Config) error {
	err := checkLimits("server", c.PerSecond, c.Burst)
	for i := range a.identities {
		id := &a.identities[i]
		err = errors.Join(err, checkLimits(id.Name, id.PerSecond, id.Burst))
		id.limits = limitsOf(c, id)
	}
	if a.anonymous != nil {
		a.anonymous.limits = limitsOf(c, a.anonymous)
	}
	return err
}

// caller returns who calls, or a fault. Every known token is compared, each in constant time.
func (a *authenticator) caller(ctx context.Context) (*Identity, error) {
	if len(a.identities) == 0 {
		return a.anonymous, nil
	}
	given := metadata.ValueFromIncomingContext(ctx, "authorization")
	switch {
	case len(given) == 0 && a.anonymous != nil:
		return a.anonymous, nil
	case len(given) == 0:
		return nil, unauthenticated("send the metadata `authorization: Bearer TOKEN`")
	case len(given) > 1:
		return nil, unauthenticated("send one authorization, not several")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > maxTokenBytes {
		return nil, unauthenticated("the authorization must be `Bearer TOKEN`")
	}
	hash := HashToken(token)
	var found *Identity
	for i := range a.identities {
		if subtle.ConstantTimeCompare(hash[:], a.identities[i].TokenHash[:]) == 1 {
			found = &a.identities[i]
		}
	}
	if found == nil {
		return nil, unauthenticated("the token is not known")
	}
	return found, nil
}

type callerKey struct{}

// withCaller notes who calls, for handlers.
func withCaller(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, callerKey{}, id)
}

// callerOf returns who calls; somebody without a role if nobody was noted.
func callerOf(ctx context.Context) *Identity {
	if id, ok := ctx.Value(callerKey{}).(*Identity); ok {
		return id
	}
	return &Identity{}
}

// may reports whether the caller has one of the roles.
func (i *Identity) may(r Role) bool { return i.Roles&r != 0 }
