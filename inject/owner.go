package inject

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OwnerOf names the controller of a pod in the form kind/name, such as
// deployment/api; the pod itself where it has none. A ReplicaSet made by a
// Deployment counts as the Deployment.
func OwnerOf(pod *corev1.Pod) string {
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		name := pod.Name
		if name == "" {
			name = strings.TrimSuffix(pod.GenerateName, "-")
		}
		return "pod/" + name
	}
	if ref.Kind == "ReplicaSet" {
		if hash := pod.Labels["pod-template-hash"]; hash != "" && strings.HasSuffix(ref.Name, "-"+hash) {
			return "deployment/" + strings.TrimSuffix(ref.Name, "-"+hash)
		}
	}
	return strings.ToLower(ref.Kind) + "/" + ref.Name
}

// endsByItself says whether the pod is meant to finish, so that a sidecar that
// Kubernetes does not stop has to go by itself.
func endsByItself(pod *corev1.Pod, owner string) bool {
	return strings.HasPrefix(owner, "job/") || strings.HasPrefix(owner, "cronjob/") ||
		pod.Spec.RestartPolicy == corev1.RestartPolicyNever || pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure
}
