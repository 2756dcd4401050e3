package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDevOutlivesItsServer kills the server of `sluice dev`, as anybody may who tries it: its cashiers go on routing and say
// from where, nothing is lost, and the demo ends when it is told to.
func TestDevOutlivesItsServer(t *testing.T) {
	out := &lockedBuffer{}
	cmd := exec.Command(binary, "dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", t.TempDir())
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s", out)
		}
	}()
	said := func(pattern string) []string {
		t.Helper()
		return waitFor(t, out, ended, pattern)
	}
	pid, err := strconv.Atoi(said(`kill -9 (\d+)`)[1])
	if err != nil || pid == cmd.Process.Pid {
		t.Fatal(pid, err)
	}
	said(`CASHIERS ask the server`)
	server, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	said(`SERVER   is gone \(signal: killed\)`)
	said(`CASHIERS get no answer from the server and decide by themselves, from memory \(FRESH\)`)
	said(`CASHIERS get no answer from the server and decide by themselves, from memory \(STALE\)`)
	said(`decided by the server 0, by the cashiers [1-9]`)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the demo ended: %v", err)
		}
	case <-time.After(startDeadline):
		t.Error("the demo does not end")
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, " traffic ") && !strings.Contains(line, " 0 lost;") {
			t.Errorf("payments were lost: %s", line)
		}
	}
}

// waitFor waits until a process has written what matches, and returns the parts.
func waitFor(t *testing.T, out *lockedBuffer, ended <-chan error, pattern string) []string {
	t.Helper()
	deadline, poll := time.After(startDeadline), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(out.String()); m != nil {
			return m
		}
		select {
		case err := <-ended:
			t.Fatalf("the process ended: %v", err)
		case <-deadline:
			t.Fatalf("not said within %v: %s", startDeadline, pattern)
		case <-poll.C:
		}
	}
}
