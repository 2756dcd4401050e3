package redisstore

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between a client and Redis and spoils what Redis answers.
type proxy struct {
	address string
	delay   atomic.Int64 // of each answer, nanoseconds
	drop    atomic.Bool  // answers are lost
	corrupt atomic.Bool  // a byte of each answer is wrong
	dial    func() (net.Conn, error)
	wait    sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
	closed  bool
}

func startProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), dial: func() (net.Conn, error) { return net.Dial("tcp", upstream) }}
	p.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.hangUp(true)
		p.wait.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := p.dial()
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	closed := p.closed
	p.mu.Unlock()
	if closed {
		p.hangUp(true)
		return
	}
	p.wait.Go(func() { defer server.Close(); io.Copy(server, client) })
	p.wait.Go(func() { defer client.Close(); p.answer(client, server) })
}

// answer passes on what the server says, spoilt.
func (p *proxy) answer(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if d := time.Duration(p.delay.Load()); d > 0 {
			<-time.After(d)
		}
		if p.corrupt.Load() {
			buf[0] ^= 0x15
		}
		if p.drop.Load() {
			continue
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// hangUp closes all connections.
func (p *proxy) hangUp(forever bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || forever
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
