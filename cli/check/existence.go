package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/manifests"
)

func (e *env) connect() (*cluster.Cluster, error) {
	if e.cluster != nil {
		return e.cluster, nil
	}
	return e.flags.Connect(e.console)
}

func existence(e *env) Category {
	ns := e.control()
	return Category{e.tool + "-existence", []Check{
		{Description: fmt.Sprintf("'%s' config map exists", manifests.ConfigMap), Fatal: true, Hint: "existence", Run: func(ctx context.Context) error {
			_, err := e.cluster.Kube.CoreV1().ConfigMaps(ns).Get(ctx, manifests.ConfigMap, metav1.GetOptions{})
			return exists("ConfigMap", manifests.ConfigMap, err)
		}},
		{Description: "control plane replica sets are ready", Retry: true, Fatal: true, Hint: "existence", Run: func(ctx context.Context) error {
			d, err := e.cluster.Kube.AppsV1().Deployments(ns).Get(ctx, manifests.Deployment, metav1.GetOptions{})
			if err != nil {
				return exists("Deployment", manifests.Deployment, err)
			}
			if err := DeploymentReady(d); err != nil {
				// What the pods say is the reason.
				return errors.Join(err, e.podsReady(ctx))
			}
			return nil
		}},
		{Description: "no unschedulable pods", Warning: true, Hint: "existence-unschedulable", Run: e.unschedulable},
		{Description: "control plane pods are ready", Retry: true, Fatal: true, Hint: "existence-pods", Run: e.podsReady},
	}}
}

// DeploymentReady says what a Deployment still lacks, nil when nothing.
func DeploymentReady(d *appsv1.Deployment) error {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.AvailableReplicas < want || s.Replicas > s.UpdatedReplicas {
		return fmt.Errorf("deployment %s: %d of %d replicas are updated and available", d.Name, min(s.UpdatedReplicas, s.AvailableReplicas), want)
	}
	return nil
}

func (e *env) controlPods(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := e.cluster.Kube.CoreV1().Pods(e.control()).List(ctx, metav1.ListOptions{LabelSelector: "app=" + manifests.Deployment})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

func (e *env) unschedulable(ctx context.Context) error {
	pods, err := e.controlPods(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, p := range pods {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				faults = append(faults, fmt.Errorf("%s/%s: %s", p.Namespace, p.Name, c.Message))
			}
		}
	}
	return errors.Join(faults...)
}

func (e *env) podsReady(ctx context.Context) error {
	pods, err := e.controlPods(ctx)
	if err != nil {
		return err
	}
	ready := 0
	var faults []error
	for _, p := range pods {
		if p.DeletionTimestamp != nil {
			continue
		}
		if err := podReady(p); err != nil {
			faults = append(faults, e.explain(ctx, p, err))
			continue
		}
		ready++
	}
	if ready == 0 && len(faults) == 0 {
		return fmt.Errorf("no pod of %s is there", manifests.Deployment)
	}
	return errors.Join(faults...)
}

// adminPort is where the control plane answers /ready.
const adminPort = 9990

// readinessFunc returns what a pod of the control plane says of its readiness.
type readinessFunc func(ctx context.Context, cl *cluster.Cluster, namespace, pod string) (string, error)

// explain adds what a running pod of the control plane itself says about why it
// is not ready, such as that it may not list what it watches.
func (e *env) explain(ctx context.Context, p corev1.Pod, err error) error {
	running := slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Waiting == nil && s.State.Terminated == nil })
	if p.Status.Phase != corev1.PodRunning || !running {
		return err
	}
	said, askErr := e.readiness(ctx, e.cluster, p.Namespace, p.Name)
	if said = strings.TrimPrefix(strings.TrimSpace(said), "not ready: "); askErr != nil || said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}

// askReadiness asks through the API server.
func askReadiness(ctx context.Context, cl *cluster.Cluster, namespace, pod string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address, stop, err := cl.Forward(ctx, namespace, pod, adminPort)
	if err != nil {
		return "", err
	}
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/ready", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusServiceUnavailable {
		return "", nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return string(body), err
}

// podReady says what a pod still lacks.
func podReady(p corev1.Pod) error {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range list {
			if w := s.State.Waiting; w != nil && w.Reason != "PodInitializing" && w.Reason != "ContainerCreating" {
				return fmt.Errorf("pod %s/%s: container %s is waiting: %s %s", p.Namespace, p.Name, s.Name, w.Reason, w.Message)
			}
		}
	}
	return fmt.Errorf("pod %s/%s is not ready (%s)", p.Namespace, p.Name, p.Status.Phase)
}

func controlPlaneVersion(e *env) Category {
	return Category{"control-plane-version", []Check{
		{Description: "control plane and cli versions match", Warning: true, Hint: "control-plane-version", Run: func(ctx context.Context) error {
			cm, err := e.cluster.Kube.CoreV1().ConfigMaps(e.control()).Get(ctx, manifests.ConfigMap, metav1.GetOptions{})
			if err != nil {
				return exists("ConfigMap", manifests.ConfigMap, err)
			}
			if got := cm.Data["version"]; got != version.Get() {
				return fmt.Errorf("control plane running %s but cli running %s", got, version.Get())
			}
			return nil
		}},
	}}
}
