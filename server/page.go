package server

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pageToken renders where the next page begins: after the element with this key. It is tied to the filters, so that it cannot be
// used with others by mistake.
func pageToken(filters, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(filters + "\n" + key))
}

// pageKey is the inverse of pageToken; empty for the first page.
func pageKey(filters, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	of, key, ok := strings.Cut(string(raw), "\n")
	if err != nil || !ok || of != filters || key == "" {
		return "", invalid("page_token", "next_page_token of the page before, with the same filters")
	}
	return key, nil
}

// filtersOf fingerprints a list request but for its page.
func filtersOf(m proto.Message) string {
	m = proto.Clone(m)
	r := m.ProtoReflect()
	for _, name := range []protoreflect.Name{"page_size", "page_token"} {
		if f := r.Descriptor().Fields().ByName(name); f != nil {
			r.Clear(f)
		}
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // a message that came over the wire can be marshalled
		return ""
	}
	return fingerprint(raw)
}

// fingerprint is a short text that differs when the bytes do.
func fingerprint(raw []byte) string {
	h := xxhash.Sum64(raw)
	text := make([]byte, 0, 13)
	for range 13 {
		text = append(text, "abcdefghijklmnopqrstuvwxyz234567"[h&31])
		h >>= 5
	}
	return string(text)
}

// page cuts one page out of a sorted list: the elements after the key, at most size (0 = standard). more tells whether
// elements are left.
func page[T any](all []T, key string, keyOf func(T) string, compare func(a, b string) int, size uint32, standard int) (part []T, more bool) {
	if key != "" {
		i := slices.IndexFunc(all, func(e T) bool { return compare(keyOf(e), key) > 0 })
		if i < 0 {
			return nil, false
		}
		all = all[i:]
	}
	n := standard
	if size > 0 {
		n = int(size)
	}
	if len(all) <= n {
		return all, false
	}
	return all[:n], true
}
