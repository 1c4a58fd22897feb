package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// Judge says what is wrong with an object, in JSON; old is what it replaces, or
// empty. With faults it is refused; warnings are shown in any case. The error
// means that it is not an object.
type Judge interface {
	Judge(ctx context.Context, object, old []byte) (faults, warnings []string, err error)
}

// validate refuses what cannot work. It never stands in the way of a change of
// anything else: deletions, changes of a subresource, and changes of an object
// that is on its way out, such as of its finalizers, pass whatever it says.
func (w Webhook) validate(ctx context.Context, req *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	allowed := &admissionv1.AdmissionResponse{Allowed: true}
	if w.Judge == nil || req.SubResource != "" || (req.Operation != admissionv1.Create && req.Operation != admissionv1.Update) {
		return allowed, nil
	}
	object, going, err := whole(req, req.Object.Raw)
	if err != nil {
		return nil, fmt.Errorf("%w: the object: %w", ErrReview, err)
	}
	if going {
		return allowed, nil
	}
	var old []byte
	if req.Operation == admissionv1.Update {
		// An old object that cannot be read is no reason to judge more mildly.
		old, _, _ = whole(req, req.OldObject.Raw)
	}
	faults, warnings, err := w.Judge.Judge(ctx, object, old)
	if err != nil {
		return nil, fmt.Errorf("%w: the object: %w", ErrReview, err)
	}
	if len(faults) > 0 {
		return refusal(fmt.Sprintf("%s %s: %s", req.Kind.Kind, strings.Trim(req.Namespace+"/"+nameOf(object), "/"), strings.Join(faults, "\n")), warnings), nil
	}
	allowed.Warnings = prefixed(warnings)
	return allowed, nil
}

// whole gives an object what the request says of it: its kind, version and
// namespace. going says that it is being deleted.
func whole(req *admissionv1.AdmissionRequest, raw []byte) (object []byte, going bool, err error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, false, err
	}
	if o == nil {
		return nil, false, errors.New("it is null")
	}
	var meta map[string]json.RawMessage
	if len(o["metadata"]) > 0 {
		if err := json.Unmarshal(o["metadata"], &meta); err != nil {
			return nil, false, fmt.Errorf("metadata: %w", err)
		}
	}
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	set := func(m map[string]json.RawMessage, key, value string) {
		if len(m[key]) == 0 && value != "" {
			m[key], _ = json.Marshal(value)
		}
	}
	version := req.Kind.Version
	if req.Kind.Group != "" {
		version = req.Kind.Group + "/" + version
	}
	set(o, "apiVersion", version)
	set(o, "kind", req.Kind.Kind)
	set(meta, "namespace", req.Namespace)
	deleted := string(meta["deletionTimestamp"])
	if o["metadata"], err = json.Marshal(meta); err != nil {
		return nil, false, err
	}
	object, err = json.Marshal(o)
	return object, deleted != "" && deleted != "null", err
}

func nameOf(object []byte) string {
	var o struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	// What has no name is told without one.
	_ = json.Unmarshal(object, &o)
	return o.Metadata.Name
}
