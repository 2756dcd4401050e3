package server

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const routePath = "/sluice.v1.RoutingService/Route"

// wire speaks HTTP/2 frame by frame.
type wire struct {
	tb     testing.TB
	conn   net.Conn
	framer *http2.Framer
	stream uint32 // newest stream
}

func newWire(tb testing.TB, at string) *wire {
	tb.Helper()
	w := &wire{tb: tb, conn: dial(tb, at), stream: 1}
	if _, err := w.conn.Write([]byte(http2.ClientPreface)); err != nil {
		tb.Fatal(err)
	}
	w.framer = http2.NewFramer(w.conn, w.conn)
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := w.framer.WriteSettings(); err != nil {
		tb.Fatal(err)
	}
	return w
}

// block encodes the headers of a call, without a table that would change from block to block.
func block(path string, more ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	all := append([]string{
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "sluice", "content-type", "application/grpc", "te", "trailers",
		"authorization", "Bearer cashier",
	}, more...)
	for i := 0; i+1 < len(all); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	return b.Bytes()
}

// open begins a call and leaves it open.
func (w *wire) open(header []byte) error {
	err := w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: header, EndHeaders: true})
	w.stream += 2
	return err //nolint:wrapcheck // a test
}

// outcome reads until a stream has ended: its gRPC status, -1 if it was reset, -2 if the connection was closed.
func (w *wire) outcome(stream uint32) int {
	for {
		f, err := w.framer.ReadFrame()
		if err != nil {
			return -2
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream || !f.StreamEnded() {
				continue
			}
			for _, h := range f.RegularFields() {
				if h.Name == "grpc-status" {
					code := 0
					_, _ = fmt.Sscan(h.Value, &code)
					return code
				}
			}
			return -1 // an HTTP status
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return -1
			}
		}
	}
}

// drain reads and forgets, so that the server is never held up by this client; it returns the resets of each kind.
func (w *wire) drain() chan map[string]int {
	done := make(chan map[string]int, 1)
	go func() {
		seen := map[string]int{}
		for {
			f, err := w.framer.ReadFrame()
			if err != nil {
				done <- seen
				return
			}
			if r, ok := f.(*http2.RSTStreamFrame); ok {
				seen[r.ErrCode.String()]++
			}
			if g, ok := f.(*http2.GoAwayFrame); ok {
				seen["go away: "+g.ErrCode.String()]++
			}
		}
	}()
	return done
}

func frame(m proto.Message) []byte {
	raw, _ := proto.Marshal(m)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(raw))), raw...)
}

// Streams opened and reset as fast as the line takes them (CVE-2023-44487) cost the others nothing.
func TestHostile_RapidReset(t *testing.T) {
	s := newStand(t, nil)
	at := s.listen(t)
	diligent(t, at, func() {
		for range 3 {
			w := newWire(t, at)
			w.drain()
			header, call := block(routePath), frame(payment("p1"))
			for range 2000 {
				id := w.stream
				if w.open(header) != nil || w.framer.WriteData(id, true, call) != nil || w.framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					break // thrown out: as well
				}
			}
			_ = w.conn.Close()
		}
	})
}

// Calls that are begun and never go on are bounded by connection.
func TestHostile_StreamsNeverFinished(t *testing.T) {
	s := newStand(t, nil)
	at := s.listen(t)
	diligent(t, at, func() {
		w := newWire(t, at)
		header := block(routePath)
		for range maxConcurrentStreams + 100 {
			if err := w.open(header); err != nil {
				t.Fatal(err)
			}
		}
		for refused := 0; refused < 100; {
			f, err := w.framer.ReadFrame()
			if err != nil {
				t.Fatalf("%d streams refused, want 100: %v", refused, err)
			}
			if r, ok := f.(*http2.RSTStreamFrame); ok && r.ErrCode == http2.ErrCodeRefusedStream {
				refused++
			}
		}
	})
}

// Headers without an end, pings without a pause, and bytes that are no HTTP/2 at all end their connection, and nothing else.
func TestHostile_Frames(t *testing.T) {
	s := newStand(t, nil)
	at := s.listen(t)
	attacks := map[string]func(w *wire){
		"endless headers": func(w *wire) {
			_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(routePath)})
			more := block(routePath, "x", strings.Repeat("y", 8<<10))
			for range 2000 {
				if w.framer.WriteContinuation(1, false, more) != nil {
					return
				}
			}
		},
		"pings": func(w *wire) {
			for range 2000 {
				if w.framer.WritePing(false, [8]byte{1}) != nil {
					return
				}
			}
		},
		"garbage": func(w *wire) {
			b := make([]byte, 64<<10)
			_, _ = rand.Read(b)
			_, _ = w.conn.Write(b)
		},
		"data of no stream":    func(w *wire) { _ = w.framer.WriteData(77, false, make([]byte, 100)) },
		"window of nothing":    func(w *wire) { _ = w.framer.WriteWindowUpdate(0, 1<<31-1) },
		"headers of our side":  func(w *wire) { w.stream = 2; _ = w.open(block(routePath)) },
		"settings never heard": func(w *wire) { _ = w.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) },
	}
	diligent(t, at, func() {
		for name, attack := range attacks {
			w := newWire(t, at)
			ended := w.drain()
			attack(w)
			if tcp, ok := w.conn.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			t.Logf("%s: %v", name, <-ended)
		}
	})
}

// A call that is not well made gets an error, and its connection goes on serving well made ones.
func TestHostile_Calls(t *testing.T) {
	s := newStand(t, nil)
	at := s.listen(t)
	long := strings.Repeat("v", maxHeaderBytes)
	tests := map[string]struct {
		header []byte
		data   []byte
		want   []int
	}{
		"well made":           {block(routePath), frame(payment("p1")), []int{0}},
		"path without slash":  {block("sluice.v1.RoutingService/Route"), frame(payment("p1")), []int{int(codes.Unimplemented)}},
		"double slash":        {block("//sluice.v1.RoutingService/Route"), frame(payment("p1")), []int{int(codes.Unimplemented)}},
		"other case":          {block("/sluice.v1.routingservice/route"), frame(payment("p1")), []int{int(codes.Unimplemented)}},
		"dots":                {block("/sluice.v1.ChannelService/../sluice.v1.RoutingService/Route"), frame(payment("p1")), []int{int(codes.Unimplemented)}},
		"oversized metadata":  {block(routePath, "x-long", long), frame(payment("p1")), []int{-1, int(codes.Internal), int(codes.ResourceExhausted)}},
		"endless message":     {block(routePath), []byte{0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, []int{int(codes.ResourceExhausted)}},
		"not protobuf":        {block(routePath), []byte{0, 0, 0, 0, 3, 0xff, 0xff, 0xff}, []int{int(codes.Internal)}},
		"unknown compression": {block(routePath, "grpc-encoding", "bomb"), []byte{1, 0, 0, 0, 1, 1}, []int{int(codes.Unimplemented)}},
		"compressed unsaid":   {block(routePath), []byte{1, 0, 0, 0, 1, 1}, []int{int(codes.Internal)}},
		"two tokens":          {block(routePath, "authorization", "Bearer operator"), frame(payment("p1")), []int{int(codes.Unauthenticated)}},
		"endless timeout":     {block(routePath, "grpc-timeout", "99999999999999H"), frame(payment("p1")), []int{int(codes.Internal), -1}},
		"no time":             {block(routePath, "grpc-timeout", "0n"), frame(payment("p1")), []int{int(codes.DeadlineExceeded), -1, 0}},
	}
	diligent(t, at, func() {
		for name, test := range tests {
			w := newWire(t, at)
			for _, call := range []struct {
				header, data []byte
				want         []int
			}{{test.header, test.data, test.want}, {block(routePath), frame(payment("p1")), []int{0}}} {
				id := w.stream
				if err := w.open(call.header); err != nil {
					t.Fatal(name, err)
				}
				if err := w.framer.WriteData(id, true, call.data); err != nil {
					t.Fatal(name, err)
				}
				if got := w.outcome(id); !slices.Contains(call.want, got) {
					t.Errorf("%s: ended with %d, want %v", name, got, call.want)
				}
			}
		}
	})
}

// series is how many series of Sluice's own there are.
func (s *stand) series(tb testing.TB) (n int) {
	tb.Helper()
	all, err := s.server.metrics.registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range all {
		if strings.HasPrefix(f.GetName(), "sluice_") {
			n += len(f.GetMetric())
		}
	}
	return n
}

// wantQuiet fails if a flood is in the log.
func (s *stand) wantQuiet(tb testing.TB) {
	tb.Helper()
	if strings.Contains(s.log.String(), "guess-") || len(s.log.String()) > 1<<16 {
		tb.Errorf("the flood is in the log: %d bytes", len(s.log.String()))
	}
}

// Floods of names and tokens that nobody knows make no series, no log, and no trouble.
func TestHostile_UnknownNamesAndTokens(t *testing.T) {
	s := newStand(t, nil)
	at := s.listen(t)
	before := s.series(t)
	conn := client(t, at)
	rpc := sluicev1.NewRoutingServiceClient(conn)
	diligent(t, at, func() {
		for i := range 20 {
			m := &sluicev1.ReportResultsRequest{}
			for j := range 1000 {
				m.Reports = append(m.Reports, result(fmt.Sprintf("f%d-%d", i, j), fmt.Sprintf("channel-%d-%d", i, j)))
			}
			r, err := rpc.ReportResults(as(t, Gateway), m)
			if err != nil || r.GetCounts().GetRejected() != 1000 {
				t.Fatalf("%v, %v", r.GetCounts(), err)
			}
		}
		for i := range 1000 {
			_, err := rpc.Route(withToken(t, fmt.Sprintf("guess-%d", i)), payment("p1"))
			if status.Code(err) != codes.Unauthenticated {
				t.Fatalf("guess %d: %v", i, err)
			}
			if err := conn.Invoke(as(t, Viewer), fmt.Sprintf("/sluice.v1.Guess%d/Call", i), &sluicev1.RouteRequest{}, &sluicev1.RouteResponse{}); status.Code(err) != codes.Unimplemented {
				t.Fatalf("unknown method %d: %v", i, err)
			}
		}
	})
	if after := s.series(t); after != before {
		t.Errorf("%d series, before the flood %d", after, before)
	}
	s.wantQuiet(t)
	if b := s.counters.Books(); !b.Balanced() || b.Rejected == 0 || b.Rejected%20_000 != 0 {
		t.Errorf("books %+v", b)
	}
}
