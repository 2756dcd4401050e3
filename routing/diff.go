package routing

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// CatalogChange is one entry in which two catalogues differ.
type CatalogChange struct {
	Path   string // e.g. `channels[alipay].weight`: entries of lists by their id; `routes.order` for the order of a list
	Before string // empty = was not there
	After  string // empty = is no longer there
}

// DiffCatalogs lists what differs from one catalogue to another, sorted by path. It is empty exactly if they are equal.
func DiffCatalogs(before, after *configv1.Catalog) []CatalogChange {
	d := &differ{}
	d.message("", before.ProtoReflect(), after.ProtoReflect())
	slices.SortFunc(d.changes, func(a, b CatalogChange) int { return strings.Compare(a.Path, b.Path) })
	return d.changes
}

type differ struct{ changes []CatalogChange }

func (d *differ) add(path, before, after string) {
	d.changes = append(d.changes, CatalogChange{Path: path, Before: before, After: after})
}

// message compares field by field.
func (d *differ) message(path string, a, b protoreflect.Message) {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := string(f.Name())
		if path != "" {
			at = path + "." + at
		}
		switch {
		case f.IsList():
			d.list(at, f, a.Get(f).List(), b.Get(f).List())
		case f.IsMap():
			d.dict(at, f, a.Get(f).Map(), b.Get(f).Map())
		case f.Message() != nil && !isClock(f.Message()) && a.Has(f) && b.Has(f):
			d.message(at, a.Get(f).Message(), b.Get(f).Message())
		default:
			d.value(at, f, given(a, f), given(b, f))
		}
	}
	if x, y := a.GetUnknown(), b.GetUnknown(); string(x) != string(y) { // of a newer version
		d.add(path+".unknown", strconv.Quote(string(x)), strconv.Quote(string(y)))
	}
}

// given is the value of a field, invalid if it is not set.
func given(m protoreflect.Message, f protoreflect.FieldDescriptor) protoreflect.Value {
	if !m.Has(f) {
		return protoreflect.Value{}
	}
	return m.Get(f)
}

func (d *differ) value(path string, f protoreflect.FieldDescriptor, a, b protoreflect.Value) {
	x, y := "", ""
	if a.IsValid() {
		x = plainText(f, a)
	}
	if b.IsValid() {
		y = plainText(f, b)
	}
	if x != y || a.IsValid() != b.IsValid() {
		d.add(path, x, y)
	}
}

func (d *differ) dict(path string, f protoreflect.FieldDescriptor, a, b protoreflect.Map) {
	keys := map[string]protoreflect.MapKey{}
	for _, m := range []protoreflect.Map{a, b} {
		m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys[k.String()] = k
			return true
		})
	}
	for name, k := range keys { // sorted in the end
		at := path + "[" + name + "]"
		x, y := protoreflect.Value{}, protoreflect.Value{}
		if a.Has(k) {
			x = a.Get(k)
		}
		if b.Has(k) {
			y = b.Get(k)
		}
		if x.IsValid() && y.IsValid() && f.MapValue().Message() != nil {
			d.message(at, x.Message(), y.Message())
			continue
		}
		d.value(at, f.MapValue(), x, y)
	}
}

// element is one entry of a list under its name.
type element struct {
	name  string
	value protoreflect.Value
}

// list compares entries of the same name, and the order of those that stay.
func (d *differ) list(path string, f protoreflect.FieldDescriptor, a, b protoreflect.List) {
	if a.Len() == 0 && b.Len() == 0 {
		return
	}
	before, after := named(f, a, b), named(f, b, a)
	places := make(map[string]int, len(after))
	for i, e := range after {
		places[e.name] = i
	}
	var stay []int // places after, in the order of before
	found := make([]bool, len(after))
	for _, e := range before {
		at := path + "[" + e.name + "]"
		i, ok := places[e.name]
		if !ok {
			d.value(at, f, e.value, protoreflect.Value{})
			continue
		}
		found[i], stay = true, append(stay, i)
		if f.Message() != nil && !isClock(f.Message()) {
			d.message(at, e.value.Message(), after[i].value.Message())
		}
	}
	for i, e := range after {
		if !found[i] {
			d.value(path+"["+e.name+"]", f, protoreflect.Value{}, e.value)
		}
	}
	if !slices.IsSorted(stay) {
		d.order(path, stay, after)
	}
}

// order tells how the entries that stay moved, without those at both ends that did not.
func (d *differ) order(path string, stay []int, after []element) {
	sorted := slices.Sorted(slices.Values(stay))
	first, last := 0, len(stay)
	for stay[first] == sorted[first] {
		first++
	}
	for stay[last-1] == sorted[last-1] {
		last--
	}
	text := func(places []int) string {
		var names []string
		for _, p := range places {
			names = append(names, after[p].name)
		}
		return strings.Join(names, ", ")
	}
	d.add(path+".order", text(stay[first:last]), text(sorted[first:last]))
}

// named names the entries of a list that is compared with another. Entries that share a name are told apart by their number among
// them; instruments by their first bank and card type, which no two of a channel share.
func named(f protoreflect.FieldDescriptor, list, other protoreflect.List) []element {
	out := make([]element, list.Len())
	count := make(map[string]int, list.Len())
	crowded := crowdedMethods(f, list, other)
	for i := range out {
		v := list.Get(i)
		name := nameOf(f, v)
		if crowded[name] {
			name = instrumentName(v)
		}
		if count[name]++; count[name] > 1 {
			name += "#" + strconv.Itoa(count[name])
		}
		out[i] = element{name, v}
	}
	return out
}

// crowdedMethods are the methods that a list of instruments has more than one entry of, or the other list.
func crowdedMethods(f protoreflect.FieldDescriptor, lists ...protoreflect.List) map[string]bool {
	if f.Message() == nil || f.Message().FullName() != (&configv1.Instrument{}).ProtoReflect().Descriptor().FullName() {
		return nil
	}
	crowded := map[string]bool{}
	for _, list := range lists {
		seen := map[string]bool{}
		for i := range list.Len() {
			name := nameOf(f, list.Get(i))
			crowded[name] = crowded[name] || seen[name]
			seen[name] = true
		}
	}
	return crowded
}

func instrumentName(v protoreflect.Value) string {
	in, ok := v.Message().Interface().(*configv1.Instrument)
	if !ok {
		return messageText(v.Message())
	}
	name := statemachine.Instrument{Method: in.GetMethod(), Bank: statemachine.NoBank, CardType: statemachine.NoBank}
	if len(in.GetBanks()) > 0 {
		name.Bank = in.GetBanks()[0]
	}
	if len(in.GetCardTypes()) > 0 {
		name.CardType = CardName(in.GetCardTypes()[0])
	}
	return name.String()
}

// nameOf is what an entry of a list is called: its id, or what it is about.
func nameOf(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if f.Message() == nil || isClock(f.Message()) {
		return plainText(f, v)
	}
	switch m := v.Message().Interface().(type) {
	case *configv1.RouteMember:
		if m.GetAccount() != "" {
			return m.GetChannel() + "/" + m.GetAccount()
		}
	case *configv1.StaticOrder:
		return enumText(m.ProtoReflect().Descriptor().Fields().ByName("business_type").Enum(), protoreflect.EnumNumber(m.GetBusinessType())) + "/" + m.GetMethod()
	}
	return nameOfMessage(v.Message())
}

// nameOfMessage takes the first field that names things, else the kind that is chosen, else the whole.
func nameOfMessage(m protoreflect.Message) string {
	fields := m.Descriptor().Fields()
	for _, name := range [...]protoreflect.Name{"id", "code", "channel", "method", "currency", "merchant", "name"} {
		if f := fields.ByName(name); f != nil && f.Kind() == protoreflect.StringKind && !f.IsList() && m.Has(f) {
			return m.Get(f).String()
		}
	}
	oneofs := m.Descriptor().Oneofs()
	for i := range oneofs.Len() {
		if f := m.WhichOneof(oneofs.Get(i)); f != nil && !oneofs.Get(i).IsSynthetic() {
			return string(f.Name())
		}
	}
	return messageText(m)
}

// sameCatalog reports whether two catalogues say the same.
func sameCatalog(a, b *configv1.Catalog) bool { return a == b || proto.Equal(a, b) }
