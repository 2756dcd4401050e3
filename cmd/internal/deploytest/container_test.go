package deploytest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one line of a container file, continuations joined.
type instruction struct{ word, rest string }

func instructions(text string) []instruction {
	var all []instruction
	text = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if word, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all = append(all, instruction{word, strings.TrimSpace(rest)})
		}
	}
	return all
}

func TestContainerfile(t *testing.T) {
	all := instructions(read(t, "deploy/Containerfile"))
	var stages []string
	final := map[string]string{}
	for _, i := range all {
		if i.word == "FROM" {
			stages = append(stages, i.rest)
			clear(final)
			continue
		}
		final[i.word] = i.rest
	}
	if len(stages) != 2 || !strings.HasSuffix(stages[0], " AS build") || !strings.Contains(stages[1], "static") {
		t.Fatalf("stages %q, want one that builds and a static one without a shell", stages)
	}
	for word, want := range map[string]string{
		"COPY": "--from=build /out /", "USER": "65532:65532", "ENTRYPOINT": `["/usr/bin/sluice"]`,
		"CMD": `["serve", "--config", "/etc/sluice/sluice.yaml"]`, "VOLUME": "/var/lib/sluice",
	} {
		if final[word] != want {
			t.Errorf("the image has %s %q, want %q", word, final[word], want)
		}
	}
	if _, shell := final["RUN"]; shell {
		t.Error("the final stage runs a command, but has no shell")
	}
	build := slices.IndexFunc(all, func(i instruction) bool { return i.word == "RUN" && strings.Contains(i.rest, "go build") })
	if build < 0 || !strings.HasPrefix(all[build].rest, "CGO_ENABLED=0 ") || !strings.Contains(all[build].rest, "-o /out/usr/bin/sluice ./cmd/sluice") {
		t.Errorf("no static build of the binary at the entry point among %q", all)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	if !strings.Contains(stages[0], "golang:"+version+" ") {
		t.Errorf("the build stage is %q, want Go %s as in go.mod", stages[0], version)
	}
}

func TestContainerfileCopiesWhatExists(t *testing.T) {
	all := instructions(read(t, "deploy/Containerfile"))
	for _, i := range all {
		for _, path := range regexp.MustCompile(`deploy/\S+`).FindAllString(i.rest, -1) {
			if _, err := os.Stat(filepath.Join(top, path)); err != nil {
				t.Errorf("%s %s: %v", i.word, i.rest, err)
			}
		}
	}
}
