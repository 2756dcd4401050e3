package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// HTTP serves /healthz (the process lives), /readyz (a table is in force and the server is not stopping) and /metrics.
func (s *Server) HTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{"status": "ok"}) })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second, MaxRequestsInFlight: 4}))
	return mux
}

// NewHTTPServer wraps a handler with the limits an open port needs; the caller serves and closes it.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	body := map[string]any{"status": "ready"}
	if sight := s.cfg.World.Sight(); sight != nil {
		body["table_revision"] = sight.View.Revision
	}
	switch {
	case s.stopping.Load():
		body["status"] = "stopping"
		answer(w, http.StatusServiceUnavailable, body)
	case !s.Ready():
		body["status"] = "no table yet"
		answer(w, http.StatusServiceUnavailable, body)
	default:
		answer(w, http.StatusOK, body)
	}
}

func answer(w http.ResponseWriter, code int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if text, err := json.Marshal(body); err == nil { // marshalling words and numbers cannot fail
		_, _ = w.Write(append(text, '\n')) // a reader that went away needs no answer
	}
}
