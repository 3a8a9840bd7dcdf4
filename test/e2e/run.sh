#!/usr/bin/env bash
# Makes a cluster with kind or k3d, installs Fairlead on it and puts it through the matrix: test/e2e/run.sh kind|k3d
# Needs Docker, kubectl, the program it is told, and the image (`make image`). K3S_IMAGE is k3d's, in place of the one that k3d knows. The cluster goes again, also when
# something failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=fairlead:latest name=fairlead-e2e

case ${1:-} in
kind | k3d)
  for program in "$1" kubectl docker; do
    command -v "$program" >/dev/null || { echo "test/e2e/run.sh: there is no $program on the PATH: install it" >&2; exit 1; }
  done
  docker image inspect $image >/dev/null 2>&1 || { echo "test/e2e/run.sh: Docker does not answer or has no image $image: start it, and \`make image\`" >&2; exit 1; }
  ;;
*)
  echo "usage: test/e2e/run.sh kind|k3d" >&2
  exit 2
  ;;
esac

KUBECONFIG=$(mktemp)
export KUBECONFIG
case $1 in
kind)
  remove() { kind delete cluster --name $name; }
  trap 'remove; rm -f "$KUBECONFIG"' EXIT
  kind create cluster --name $name --config deploy/kind/cluster.yaml
  kind load docker-image $image --name $name
  folder=kind
  ;;
k3d)
  remove() { k3d cluster delete $name; }
  trap 'remove; rm -f "$KUBECONFIG"' EXIT
  k3d cluster create $name --config deploy/k3s/cluster.yaml --kubeconfig-update-default=false ${K3S_IMAGE:+--image "$K3S_IMAGE"}
  k3d kubeconfig get $name >"$KUBECONFIG"
  k3d image import $image --cluster $name
  folder=k3s
  ;;
esac

if ! node test/e2e/matrix-process.ts $folder; then
  kubectl get nodes,pods --all-namespaces --output wide
  kubectl --namespace kube-system logs daemonset/fairlead --all-containers --tail 200
  exit 1
fi
