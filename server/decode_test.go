package server

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// sameAsProto decodes bytes as the server does and as protobuf does: both refuse, or both read the same.
func sameAsProto(tb interface{ Fatalf(string, ...any) }, data []byte) {
	for _, pair := range [][2]proto.Message{
		{&sluicev1.ReportResultsRequest{}, &sluicev1.ReportResultsRequest{Reporter: "to be reset"}},
		{&sluicev1.StreamResultsRequest{}, &sluicev1.StreamResultsRequest{Sequence: 7}},
	} {
		want, got := pair[0], pair[1]
		refused := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)
		err := newBatchCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, got)
		if (err == nil) != (refused == nil) {
			tb.Fatalf("%T %x: %v, protobuf says %v", want, data, err, refused)
		}
		if m, ok := got.(*sluicev1.StreamResultsRequest); ok && m.GetDecisions() != nil { // keeps its unknown fields
			raw, _ := proto.Marshal(m)
			_ = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, got)
		}
		if err == nil && !proto.Equal(got, want) {
			tb.Fatalf("%x: %v, protobuf reads %v", data, got, want)
		}
	}
}

func TestBatchesAreDecodedAsProtobufDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &sluicev1.StreamResultsRequest{Sequence: rapid.Uint64().Draw(rt, "sequence"), Reporter: "g1"}
		for range rapid.IntRange(0, 4).Draw(rt, "reports") {
			m.Reports = append(m.Reports, drawReport(rt))
		}
		if rapid.Bool().Draw(rt, "decisions") {
			m.Decisions = alphaDecisions(rapid.Int64().Draw(rt, "second"), 1)
		}
		for _, m := range []proto.Message{m, &sluicev1.ReportResultsRequest{Reports: m.GetReports(), Reporter: m.GetReporter()}} {
			data, err := proto.Marshal(m)
			if err != nil {
				return // not UTF-8
			}
			for range rapid.IntRange(0, 3).Draw(rt, "damages") {
				if len(data) > 0 {
					data[rapid.IntRange(0, len(data)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
				}
			}
			sameAsProto(rt, data[:rapid.IntRange(0, len(data)).Draw(rt, "length")])
			sameAsProto(rt, data)
		}
	})
}

func FuzzBatch(f *testing.F) {
	data, err := proto.Marshal(batch(1, "a/0", "b/0"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) { sameAsProto(t, data) })
}
