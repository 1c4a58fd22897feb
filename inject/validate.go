package inject

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// findings are what a validator has to say about one object.
type findings struct {
	faults   []string // the object is refused
	warnings []string // it is accepted; these are shown
}

func (f *findings) fault(field, format string, args ...any) {
	f.faults = append(f.faults, field+": "+fmt.Sprintf(format, args...))
}

func (f *findings) warn(field, format string, args ...any) {
	f.warnings = append(f.warnings, field+": "+fmt.Sprintf(format, args...))
}

// head is what every object has.
type head struct {
	Metadata struct {
		Name              string  `json:"name"`
		Namespace         string  `json:"namespace"`
		DeletionTimestamp *string `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

// validate refuses specs that cannot work. It never stands in the way of a
// change of anything else: an update that leaves the spec as it was, or that
// removes a finalizer of an object being deleted, passes whatever the spec says.
func (w Webhook) validate(ctx context.Context, req *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	allowed := &admissionv1.AdmissionResponse{Allowed: true}
	if req.SubResource != "" || (req.Operation != admissionv1.Create && req.Operation != admissionv1.Update) {
		return allowed, nil
	}
	var obj, old head
	if err := json.Unmarshal(req.Object.Raw, &obj); err != nil {
		return nil, fmt.Errorf("%w: the object: %w", ErrReview, err)
	}
	if obj.Metadata.DeletionTimestamp != nil {
		return allowed, nil
	}
	if req.Operation == admissionv1.Update && json.Unmarshal(req.OldObject.Raw, &old) == nil && sameJSON(obj.Spec, old.Spec) {
		return allowed, nil
	}
	var f findings
	find := finder{ctx: ctx, services: w.Services}
	switch req.Kind.Group + "/" + req.Kind.Kind {
	case "split.smi-spec.io/TrafficSplit":
		checkSplit(obj.Spec, req.Namespace, find, &f)
	case "gateway.networking.k8s.io/HTTPRoute":
		checkHTTPRoute(obj.Spec, req.Namespace, find, &f)
	default:
		return allowed, nil
	}
	if len(f.faults) > 0 {
		return refusal(fmt.Sprintf("%s %s/%s: %s", req.Kind.Kind, req.Namespace, obj.Metadata.Name, strings.Join(f.faults, "; ")), f.warnings), nil
	}
	allowed.Warnings = prefixed(f.warnings)
	return allowed, nil
}

// finder looks services up. What it cannot know, it takes as there.
type finder struct {
	ctx      context.Context
	services Services
}

func (f finder) missing(namespace, name string) bool {
	if f.services == nil || name == "" {
		return false
	}
	ok, err := f.services.HasService(f.ctx, namespace, name)
	return err == nil && !ok
}

// sameJSON compares two values without regard to space and order of keys.
func sameJSON(a, b json.RawMessage) bool {
	return bytes.Equal(canonical(a), canonical(b))
}

func canonical(raw json.RawMessage) []byte {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return raw
	}
	// What was decoded can be encoded; maps come out sorted.
	out, _ := json.Marshal(v)
	return out
}
