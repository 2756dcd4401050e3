package campaign

import (
	"errors"
	"fmt"
	"strings"
)

// Class is a kind of traffic: how much of it there is, and whether anything breaks.
type Class struct {
	Name    string
	Rate    float64 // payments/s over all channels, mean of the day
	Healthy bool    // no faults: angry payers and bursts of declines alone
}

// ErrClass is wrapped where a class is unknown.
var ErrClass = errors.New("unknown class")

// Classes lists every class.
func Classes() []Class {
	return []Class{
		{Name: "busy", Rate: 30},
		{Name: "medium", Rate: 3},
		{Name: "quiet", Rate: 0.5},
		{Name: "busy-healthy", Rate: 30, Healthy: true},
		{Name: "medium-healthy", Rate: 3, Healthy: true},
		{Name: "quiet-healthy", Rate: 0.5, Healthy: true},
	}
}

// ClassOf returns the class of a name.
func ClassOf(name string) (Class, error) {
	var names []string
	for _, c := range Classes() {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Class{}, fmt.Errorf("%w %q: want one of %s", ErrClass, name, strings.Join(names, ", "))
}

// Unit is one day of a class: the piece of work that is run, and kept, as a whole.
type Unit struct {
	Class string `json:"class"`
	Seed  uint64 `json:"seed"`
	Day   int    `json:"day"` // from 0
}

// String is `busy/21/0`.
func (u Unit) String() string { return fmt.Sprintf("%s/%d/%d", u.Class, u.Seed, u.Day) }

// seed is the unit's own: neighbouring seeds and days have nothing in common. A class without faults shares no draws with
// its twin that has them.
func (u Unit) seed() uint64 {
	x := mix(u.Seed)
	for _, b := range []byte(u.Class) {
		x = mix(x ^ uint64(b))
	}
	return mix(x ^ uint64(u.Day)) //nolint:gosec // never negative
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
