package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

type watchStream = grpc.ServerStreamingServer[sluicev1.WatchChannelsResponse]

func full(sequence uint64, revision int64) *sluicev1.WatchChannelsResponse {
	return &sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Full{Full: &sluicev1.ChannelsStatus{
		Channels: []*sluicev1.ChannelStatus{channel("upi-gateway-a"), channel("unionpay-b", cutStatus())}, JournalSequence: sequence, TableRevision: revision,
	}}}
}

// step is one change of the life of a bank, as an entry of the journal.
func step(i int, sequence uint64) *sluicev1.WatchChannelsResponse {
	m := life()[i]
	m.JournalSequence, m.TableRevision = sequence, int64(sequence)
	return transition(m)
}

// background runs a command line that does not end by itself, and returns the lines it prints. The exit code comes when stop
// was called.
func (a *app) background(t *testing.T, args ...string) (lines *bufio.Scanner, stop func() int) {
	t.Helper()
	reader, writer := io.Pipe()
	a.Args, a.Out, a.Err = args, writer, io.Discard
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- a.run(ctx)
		_ = writer.Close()
	}()
	return bufio.NewScanner(reader), func() int {
		cancel()
		go io.Copy(io.Discard, reader) // what is still being printed
		return <-code
	}
}

func nextLine(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the output ended: %v", s.Err())
	}
	return s.Text()
}

func TestWatch_TellsEveryChangeOnceAcrossABreak(t *testing.T) {
	f := &fake{watch: func(n int, stream watchStream) error {
		messages := []*sluicev1.WatchChannelsResponse{full(40, 1), step(0, 41), step(1, 42)} // 42 has a second message
		if n > 1 {
			messages = []*sluicev1.WatchChannelsResponse{full(43, 2), step(1, 42), step(2, 42), step(3, 43)}
		}
		for _, m := range messages {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		if n == 1 {
			return status.Error(codes.Unavailable, "going away")
		}
		<-stream.Context().Done()
		return nil
	}}
	lines, stop := start(t, f).background(t, "watch")
	var got []string
	for range 5 {
		got = append(got, nextLine(t, lines))
	}
	if code := stop(); code != ExitOK {
		t.Errorf("exit code %d after an interrupt", code)
	}
	golden(t, "watch", strings.Join(got, "\n")+"\n")
	f.mu.Lock()
	defer f.mu.Unlock()
	if after := f.watches[1].GetAfterSequence(); after != 41 {
		t.Errorf("resumed after entry %d, want 41: of entry 42 one message had come", after)
	}
}

func TestWatch_FailsWhenNothingEverCame(t *testing.T) {
	f := &fake{watch: func(int, watchStream) error { return status.Error(codes.PermissionDenied, "viewers only") }}
	if got := start(t, f).do(t, "watch"); got.code != ExitFailed || !strings.Contains(got.err, "viewers only") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}

func TestNowWatch_PipedPrintsAPicturePerChange(t *testing.T) {
	change := make(chan int64)
	f := &fake{list: badNight(), watch: func(_ int, stream watchStream) error {
		if err := stream.Send(full(1, badNight().GetTableRevision())); err != nil {
			return err
		}
		for {
			select {
			case <-stream.Context().Done():
				return nil
			case revision := <-change:
				m := life()[0]
				m.TableRevision = revision
				if err := stream.Send(transition(m)); err != nil {
					return err
				}
			}
		}
	}}
	lines, stop := start(t, f).background(t, "now", "-w")
	if first := nextLine(t, lines); !strings.Contains(first, "revision 88214") {
		t.Fatalf("first picture begins %q", first)
	}
	newer := proto.CloneOf(f.list)
	newer.TableRevision, newer.FailureDomains = 88215, nil
	f.mu.Lock()
	f.list = newer
	f.mu.Unlock()
	go func() { change <- 88215 }()
	var picture []string
	for {
		line := nextLine(t, lines)
		if strings.ContainsRune(line, '\x1b') {
			t.Fatalf("a command for a terminal in a pipe: %q", line)
		}
		if picture = append(picture, line); strings.Contains(line, "revision 88215") {
			break
		}
	}
	if slices.ContainsFunc(picture[:len(picture)-1], func(l string) bool { return strings.HasPrefix(l, "sluice ") }) {
		t.Errorf("more pictures than changes:\n%s", strings.Join(picture, "\n"))
	}
	if code := stop(); code != ExitOK {
		t.Errorf("exit code %d after an interrupt", code)
	}
}

func TestNowWatch_PipedIsSilentWhileNothingChanges(t *testing.T) {
	a := start(t, &fake{list: badNight()})
	var out strings.Builder
	a.Out, a.format = &out, formatTable
	a.conn.timeout = 5 * time.Second
	client, closeConn, err := a.channelClient()
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn()
	now := night
	a.clock = func() time.Time { return now }
	l := a.newLive(client, false)
	pictures := func() int { return strings.Count(out.String(), "revision ") }
	steps := []struct {
		name string
		do   func() error
		want int
	}{
		{"begin", func() error { return errors.Join(l.read(t.Context()), l.draw()) }, 1},
		{"nothing changed", func() error { return l.tick(t.Context()) }, 1},
		{"a change", func() error { l.note(event{message: step(0, 1)}); return l.tick(t.Context()) }, 2},
		{"a change this replica does not have yet", func() error { l.note(event{message: step(0, 99999)}); return l.tick(t.Context()) }, 2},
	}
	for _, s := range steps {
		now = now.Add(2 * rereadEvery)
		if err := s.do(); err != nil || pictures() != s.want {
			t.Fatalf("%s: %d pictures, want %d, %v", s.name, pictures(), s.want, err)
		}
	}
}

func TestBookmark(t *testing.T) {
	b := &bookmark{}
	if b.news(full(7, 1)); b.resume() != 7 {
		t.Errorf("after a full state of 7 resumes after %d", b.resume())
	}
	b.news(step(0, 9))
	b.news(&sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Heartbeat{Heartbeat: &sluicev1.Heartbeat{JournalSequence: 12}}})
	if b.resume() != 12 {
		t.Errorf("after a heartbeat of 12 resumes after %d", b.resume())
	}
	if b.news(step(1, 12)) != true || b.news(step(1, 11)) {
		t.Error("an entry told by the heartbeat's replica may still come in parts, an older one is no news")
	}
}
