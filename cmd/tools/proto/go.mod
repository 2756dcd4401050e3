// The module whose files make gives to buf as api/third_party, so that no
// schema registry is needed. Nothing imports it: do not tidy this file.
module github.com/sluice-pay/sluice/cmd/tools/proto

go 1.26.0

require github.com/bufbuild/protovalidate v1.2.2
