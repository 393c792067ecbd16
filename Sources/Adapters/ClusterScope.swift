import JSON

/// The kinds of objects that have no namespace and that events speak of. The event itself needs one, so some reporters write
/// `default` where the object's would stand.
enum ClusterScope {
    /// By API group. Controllers of these write events about them.
    private static let kinds: [String: Set<String>] = [
        "": ["Node", "Namespace", "PersistentVolume", "ComponentStatus"],
        "admissionregistration.k8s.io": [
            "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ],
        "apiextensions.k8s.io": ["CustomResourceDefinition"], "apiregistration.k8s.io": ["APIService"],
        "cert-manager.io": ["ClusterIssuer"], "certificates.k8s.io": ["CertificateSigningRequest"],
        "flowcontrol.apiserver.k8s.io": ["FlowSchema", "PriorityLevelConfiguration"],
        "karpenter.sh": ["NodeClaim", "NodePool"], "karpenter.k8s.aws": ["EC2NodeClass"],
        "networking.k8s.io": ["IngressClass"], "node.k8s.io": ["RuntimeClass"],
        "rbac.authorization.k8s.io": ["ClusterRole", "ClusterRoleBinding"], "scheduling.k8s.io": ["PriorityClass"],
        "snapshot.storage.k8s.io": ["VolumeSnapshotClass", "VolumeSnapshotContent"],
        "storage.k8s.io": ["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"],
    ]

    /// - Parameter group: of the API, nil for the core group.
    static func holds(_ kind: String, of group: String?) -> Bool { kinds[group ?? ""]?.contains(kind) ?? false }

    /// The group of an `apiVersion`, without the version; nil for the core group, which some reporters write as `core/v1`.
    static func group(_ version: String?) -> String? {
        let words = version?.split(separator: "/", maxSplits: 1) ?? []
        return words.count == 2 && words[0] != "core" ? String(words[0]) : nil
    }

    /// The namespace of the object that an event is about; empty for none.
    static func namespace(_ object: JSONObject?) -> String {
        guard let object, let namespace = object["namespace"]?.string, !namespace.isEmpty else { return "" }
        guard let kind = object["kind"]?.string, holds(kind, of: group(object["apiVersion"]?.string)) else {
            return namespace
        }
        return ""
    }
}
