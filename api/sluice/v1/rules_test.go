package sluicev1_test

import (
	"errors"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// Every rule of every message compiles: a rule with a mistake would otherwise fail on the first request only.
func TestRulesCompile(t *testing.T) {
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	files := []protoreflect.FileDescriptor{
		configv1.File_sluice_config_v1_catalog_proto, configv1.File_sluice_config_v1_incident_proto,
		configv1.File_sluice_config_v1_journal_proto, configv1.File_sluice_config_v1_policy_proto,
		configv1.File_sluice_config_v1_snapshot_proto, configv1.File_sluice_config_v1_state_proto,
		sluicev1.File_sluice_v1_audit_service_proto, sluicev1.File_sluice_v1_catalog_service_proto,
		sluicev1.File_sluice_v1_channel_service_proto, sluicev1.File_sluice_v1_decision_proto,
		sluicev1.File_sluice_v1_errors_proto, sluicev1.File_sluice_v1_incident_service_proto,
		sluicev1.File_sluice_v1_payment_proto, sluicev1.File_sluice_v1_report_proto,
		sluicev1.File_sluice_v1_routing_service_proto, sluicev1.File_sluice_v1_scope_proto,
	}
	for _, file := range files {
		messages := file.Messages()
		for i := range messages.Len() {
			err := validator.Validate(dynamicpb.NewMessage(messages.Get(i)))
			if invalid := new(protovalidate.ValidationError); err != nil && !errors.As(err, &invalid) {
				t.Errorf("%s: %v", messages.Get(i).FullName(), err)
			}
		}
	}
}

// Rules accept what users mean, and name the field or rule of what they do not.
func TestRules(t *testing.T) {
	const (
		pay    = `"paymentId":"p1","merchant":"m-1","settlementEntity":"e-1"`
		report = `"attemptId":"d/0","paymentId":"p1","channel":"alipay","account":"a1","method":"QUICKPAY","businessType":"BUSINESS_TYPE_COLLECT"`
		order  = `"scope":{"name":"alipay"},"reason":"contract"`
	)
	tests := []struct {
		name, json string
		message    proto.Message
		want       string // part of the violation; empty = valid
	}{
		{"payment", `{` + pay + `,"businessType":1,"method":"QUICKPAY","amount":"12000","currency":"CNY"}`, &sluicev1.Payment{}, ""},
		{"payment of nothing", `{` + pay + `,"businessType":1,"method":"QUICKPAY","currency":"CNY"}`, &sluicev1.Payment{}, "amount must be"},
		{"payment without currency", `{` + pay + `,"businessType":1,"method":"QUICKPAY","amount":"1"}`, &sluicev1.Payment{}, "currency must be"},
		{"payment without method", `{` + pay + `,"businessType":1,"amount":"1","currency":"CNY"}`, &sluicev1.Payment{}, "method must be"},
		{"refund without original", `{` + pay + `,"businessType":5,"amount":"1","currency":"CNY"}`, &sluicev1.Payment{}, "original must be"},
		{"refund", `{` + pay + `,"businessType":5,"amount":"1","currency":"CNY","original":{"channel":"c","account":"a"}}`, &sluicev1.Payment{}, ""},
		{"collect with original", `{` + pay + `,"businessType":1,"method":"M","amount":"1","currency":"CNY","original":{"channel":"c","account":"a"}}`, &sluicev1.Payment{}, "original must be"},
		{"query", `{` + pay + `,"businessType":7,"original":{"channel":"c","account":"a"}}`, &sluicev1.Payment{}, ""},
		{"nine digits of a card", `{` + pay + `,"businessType":1,"method":"M","amount":"1","currency":"CNY","bin":"622202123"}`, &sluicev1.Payment{}, "bin"},
		{"report", `{` + report + `,"outcome":1}`, &sluicev1.Report{}, ""},
		{"report by code", `{` + report + `,"rawCode":"ACQ.SYSTEM_ERROR"}`, &sluicev1.Report{}, ""},
		{"report of nothing", `{` + report + `}`, &sluicev1.Report{}, "give an outcome"},
		{"report of unmapped", `{` + report + `,"outcome":10}`, &sluicev1.Report{}, "outcome"},
		{"network failure of a written request", `{` + report + `,"outcome":8,"requestWritten":true}`, &sluicev1.Report{}, "report TIMED_OUT"},
		{"network failure", `{` + report + `,"outcome":8}`, &sluicev1.Report{}, ""},
		{"final pending", `{` + report + `,"outcome":2,"finality":2}`, &sluicev1.Report{}, "PENDING cannot be FINAL"},
		{"off without expiry", `{` + order + `,"action":1}`, &sluicev1.SwitchChannelRequest{}, "OFF and ON_NOW need"},
		{"off", `{` + order + `,"action":1,"expireAfter":"7200s"}`, &sluicev1.SwitchChannelRequest{}, ""},
		{"hold without expiry", `{` + order + `,"action":4}`, &sluicev1.SwitchChannelRequest{}, ""},
		{"hold", `{` + order + `,"action":4,"expireAfter":"60s"}`, &sluicev1.SwitchChannelRequest{}, ""},
		{"suspend with expiry", `{` + order + `,"action":6,"expireAfter":"60s"}`, &sluicev1.SwitchChannelRequest{}, "have none"},
		{"order without reason", `{"scope":{"name":"alipay"},"action":2}`, &sluicev1.SwitchChannelRequest{}, "reason"},
		{"bank of a channel", `{"channel":"alipay","bank":"ICBC"}`, &sluicev1.Scope{}, ""},
		{"instrument", `{"channel":"alipay","method":"QUICKPAY","bank":"ICBC","cardType":"CARD_TYPE_DEBIT"}`, &sluicev1.Scope{}, ""},
		{"wallet", `{"channel":"alipay","method":"WALLET","bank":"-"}`, &sluicev1.Scope{}, ""},
		{"two dimensions", `{"channel":"alipay","account":"a1","bank":"ICBC"}`, &sluicev1.Scope{}, "beside a channel"},
		{"card type alone", `{"channel":"alipay","cardType":2}`, &sluicev1.Scope{}, "needs its bank"},
		{"domain with channel", `{"channel":"alipay","failureDomain":"d"}`, &sluicev1.Scope{}, "stands alone"},
		{"no scope", `{"bank":"ICBC"}`, &sluicev1.Scope{}, "give a name"},
		{"final success", `{"code":"10000","outcome":1,"final":true}`, &configv1.ResponseCode{}, "definite failures only"},
		{"reroutable decline", `{"code":"51","outcome":3,"final":false}`, &configv1.ResponseCode{}, ""},
		{"limits turned round", `{"currency":"CNY","min":"10","max":"1"}`, &configv1.AmountLimit{}, "max must not be"},
		{"maintenance turned round", `{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, &configv1.Maintenance{}, "to must be after"},
		{"open all day", `{"from":"00:00","to":"24:00"}`, &configv1.OpenHours{}, ""},
		{"opening at 24:00", `{"from":"24:00","to":"10:00"}`, &configv1.OpenHours{}, "from"},
		{"quick window", `{"windows":{"window":"0.5s"}}`, &configv1.Policy{}, "window"},
		{"cool-down above its cap", `{"recovery":{"coolDown":"60s","coolDownMax":"30s"}}`, &configv1.Policy{}, "cool_down must not"},
		{"first shares turned round", `{"recovery":{"firstShareMinPpm":10,"firstShareMaxPpm":5}}`, &configv1.Policy{}, "first_share_min_ppm"},
		{"empty policy", `{"windows":{},"recovery":{},"guards":{}}`, &configv1.Policy{}, ""},
		{"explain nothing", `{}`, &sluicev1.ExplainRouteRequest{}, "subject"},
		{"minutes", `{"scope":{"name":"alipay"},"step":"60s"}`, &sluicev1.QuerySeriesRequest{}, ""},
		{"five seconds", `{"scope":{"name":"alipay"},"step":"5s"}`, &sluicev1.QuerySeriesRequest{}, "step"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := protojson.Unmarshal([]byte(test.json), test.message); err != nil {
				t.Fatal(err)
			}
			err := protovalidate.Validate(test.message)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want a violation that says %q", err, test.want)
			}
		})
	}
}
