module github.com/sluice-pay/sluice/cmd/tools/extra

go 1.26.0
