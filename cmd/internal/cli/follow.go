package cli

import (
	"context"
	"fmt"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// event is one message of a watch, or what became of the watch.
type event struct {
	message *sluicev1.WatchChannelsResponse
	lost    error // the stream broke; it is being opened again
}

// follow watches until ctx ends and sends what comes. A broken stream is opened again after the newest change seen, with
// growing pauses. The first event is either a message or the reason why nothing came.
func (a *app) follow(ctx context.Context, after uint64, channels []string, events chan<- event) {
	place := bookmark{after: after}
	send := func(e event) bool {
		select {
		case events <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	client, closeConn, err := a.channelClient()
	if err != nil {
		send(event{lost: err})
		return
	}
	defer closeConn()
	pause := a.backoff
	for ctx.Err() == nil {
		received := false
		request := &sluicev1.WatchChannelsRequest{Channels: channels, AfterSequence: place.resume()}
		err := watchOnce(ctx, client, request, func(m *sluicev1.WatchChannelsResponse) bool {
			received = true
			return !place.news(m) || send(event{message: m})
		})
		if received {
			pause = a.backoff
		}
		if !send(event{lost: err}) || !rest(ctx, pause) {
			return
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// watchOnce opens one stream and hands its messages on until it breaks or take says stop.
func watchOnce(ctx context.Context, client sluicev1.ChannelServiceClient, request *sluicev1.WatchChannelsRequest, take func(*sluicev1.WatchChannelsResponse) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.WatchChannels(ctx, request)
	if err != nil {
		return fmt.Errorf("watch channels: %w", err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("watch channels: %w", err)
		}
		if !take(m) {
			return ctx.Err()
		}
	}
}

// rest waits, and reports whether ctx still lives.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// channelClient opens a connection of its own for a ChannelService.
func (a *app) channelClient() (sluicev1.ChannelServiceClient, func(), error) {
	conn, err := a.connect()
	if err != nil {
		return nil, nil, err
	}
	return sluicev1.NewChannelServiceClient(conn), func() { _ = conn.Close() }, nil
}
