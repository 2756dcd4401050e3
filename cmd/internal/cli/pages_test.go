package cli

import (
	"errors"
	"slices"
	"strconv"
	"testing"
)

// A list is read to its end, or as far as was asked for; the token of what was left is told. Pages may be shorter than asked for.
func TestReadAll(t *testing.T) {
	for _, tc := range []struct {
		kept, largest, most int
		sizes               []uint32 // asked for
		read                int
		left                string
	}{
		{kept: 0, largest: 1000, sizes: []uint32{1000}},
		{kept: 2500, largest: 1000, sizes: []uint32{1000, 1000, 1000}, read: 2500},
		{kept: 2500, largest: 1000, most: 1200, sizes: []uint32{1000, 200}, read: 1200, left: "1200"},
		{kept: 2500, largest: 1000, most: 1000, sizes: []uint32{1000}, read: 1000, left: "1000"},
		{kept: 100, largest: 30, most: 70, sizes: []uint32{70, 40, 10}, read: 70, left: "70"},
		{kept: 50, largest: 1000, most: 70, sizes: []uint32{70}, read: 50},
	} {
		var sizes []uint32
		read := 0
		left, err := readAll(uint32(tc.most), func(size uint32, token string) (int, string, error) {
			if sizes = append(sizes, size); len(sizes) > 10 {
				t.Fatalf("%+v: no end", tc)
			}
			from, _ := strconv.Atoi(token)
			if from != read {
				t.Fatalf("%+v: asked from %d on after %d", tc, from, read)
			}
			n := min(int(size), tc.largest, tc.kept-from)
			if read += n; read == tc.kept {
				return n, "", nil
			}
			return n, strconv.Itoa(read), nil
		})
		if err != nil || read != tc.read || left != tc.left || !slices.Equal(sizes, tc.sizes) {
			t.Errorf("%+v: read %d in pages of %d, left %q, %v", tc, read, sizes, left, err)
		}
	}
	wrong := errors.New("the server has gone away")
	if _, err := readAll(0, func(uint32, string) (int, string, error) { return 0, "next", wrong }); !errors.Is(err, wrong) {
		t.Errorf("%v, want what the server said", err)
	}
}
