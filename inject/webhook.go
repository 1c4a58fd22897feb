package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Namespaces finds the namespace of a pod. A namespace that does not exist is
// an error; the webhook then answers 500 and the failure policy decides.
type Namespaces interface {
	Namespace(ctx context.Context, name string) (Namespace, error)
}

// Webhook answers the API server: POST /inject patches pods, POST /validate
// judges the objects that the mesh reads.
type Webhook struct {
	// Options are asked for at each request, so that renewed trust anchors count.
	Options    func() Options
	Namespaces Namespaces
	// Judge may be nil: nothing is then refused.
	Judge Judge
	// Observe, if not nil, is told each decision about a pod.
	Observe func(Decision)
	Log     *slog.Logger
}

// Handler serves both webhooks.
func (w Webhook) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /inject", w.serve(w.inject))
	mux.Handle("POST /validate", w.serve(w.validate))
	return mux
}

// maxReview is the largest review that is read: an object is at most 3 MiB
// (the API server's limit of a request), and there can be two in it.
const maxReview = 8 << 20

func (w Webhook) serve(answer func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxReview))
		if err != nil {
			http.Error(rw, "read the review: "+err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		review, err := ParseReview(body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		resp, err := answer(r.Context(), review.Request)
		switch {
		case errors.Is(err, ErrReview):
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		case err != nil:
			w.Log.Error("webhook failed", "path", r.URL.Path, "kind", review.Request.Kind.Kind, "namespace", review.Request.Namespace, "name", review.Request.Name, "error", err)
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		resp.UID = review.Request.UID
		review.Request, review.Response = nil, resp
		rw.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(rw).Encode(review); err != nil {
			w.Log.Warn("webhook answer not sent", "path", r.URL.Path, "error", err)
		}
	})
}

// ParseReview reads an AdmissionReview (admission.k8s.io/v1) that has a
// request; errors wrap ErrReview.
func ParseReview(body []byte) (*admissionv1.AdmissionReview, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReview, err)
	}
	if want := admissionv1.SchemeGroupVersion.String(); review.APIVersion != want || review.Kind != "AdmissionReview" {
		return nil, fmt.Errorf("%w: got %s %s, want %s AdmissionReview", ErrReview, review.APIVersion, review.Kind, want)
	}
	if review.Request == nil || review.Request.UID == types.UID("") {
		return nil, fmt.Errorf("%w: it has no request", ErrReview)
	}
	review.Response = nil
	return &review, nil
}

func (w Webhook) inject(ctx context.Context, req *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	if req.Kind.Kind != "Pod" || req.Operation != admissionv1.Create {
		return &admissionv1.AdmissionResponse{Allowed: true}, nil
	}
	var pod corev1.Pod
	if err := json.Unmarshal(req.Object.Raw, &pod); err != nil {
		return nil, fmt.Errorf("%w: the pod: %w", ErrReview, err)
	}
	ns, err := w.Namespaces.Namespace(ctx, req.Namespace)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", req.Namespace, err)
	}
	ns.Name = req.Namespace
	t := Target{Pod: &pod, Namespace: ns}
	owner := OwnerOf(&pod)
	res, err := Pod(t, w.Options())
	if w.Observe != nil {
		w.Observe(res.Decision)
	}
	log := w.Log.With("namespace", req.Namespace, "owner", owner, "reason", res.Decision.Reason)
	switch {
	case errors.Is(err, ErrAnnotation), errors.Is(err, ErrClash):
		// A pod that asks for something impossible is refused rather than let
		// run outside of the mesh.
		log.Warn("pod refused", "error", err)
		return refusal(fmt.Sprintf("weft cannot add its proxy to %s in namespace %s: %v", owner, req.Namespace, err), res.Warnings), nil
	case err != nil:
		return nil, err
	}
	resp := &admissionv1.AdmissionResponse{Allowed: true, Warnings: prefixed(res.Warnings),
		AuditAnnotations: map[string]string{"decision": string(res.Decision.Reason)}}
	if len(res.Patch) > 0 {
		if resp.Patch, err = res.Patch.JSON(); err != nil {
			return nil, err
		}
		kind := admissionv1.PatchTypeJSONPatch
		resp.PatchType = &kind
		log.Info("pod injected", "container", res.Decision.Family.ProxyContainer())
		for _, s := range res.Warnings {
			// Whoever made the pod is often a controller, which reads no warnings.
			log.Warn("pod injected with a warning", "warning", s)
		}
	} else {
		log.Debug("pod left alone", "detail", res.Decision.Detail)
	}
	return resp, nil
}

func refusal(message string, warnings []string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Allowed:  false,
		Warnings: prefixed(warnings),
		Result:   &metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Message: message},
	}
}

func prefixed(warnings []string) []string {
	var out []string
	for _, s := range warnings {
		out = append(out, "weft: "+s)
	}
	return out
}
