impl serde::Serialize for ClientInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.client.is_empty() {
            len += 1;
        }
        if !self.client_credential.is_empty() {
            len += 1;
        }
        if self.sdk.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.events.ClientInfo", len)?;
        if !self.client.is_empty() {
            struct_ser.serialize_field("client", &self.client)?;
        }
        if !self.client_credential.is_empty() {
            struct_ser.serialize_field("clientCredential", &self.client_credential)?;
        }
        if let Some(v) = self.sdk.as_ref() {
            struct_ser.serialize_field("sdk", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ClientInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "client",
            "client_credential",
            "clientCredential",
            "sdk",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Client,
            ClientCredential,
            Sdk,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "client" => Ok(GeneratedField::Client),
                            "clientCredential" | "client_credential" => Ok(GeneratedField::ClientCredential),
                            "sdk" => Ok(GeneratedField::Sdk),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ClientInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.events.ClientInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ClientInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut client__ = None;
                let mut client_credential__ = None;
                let mut sdk__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Client => {
                            if client__.is_some() {
                                return Err(serde::de::Error::duplicate_field("client"));
                            }
                            client__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ClientCredential => {
                            if client_credential__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clientCredential"));
                            }
                            client_credential__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Sdk => {
                            if sdk__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sdk"));
                            }
                            sdk__ = map_.next_value()?;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(ClientInfo {
                    client: client__.unwrap_or_default(),
                    client_credential: client_credential__.unwrap_or_default(),
                    sdk: sdk__,
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.events.ClientInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for FallthroughAssignment {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.rule.is_empty() {
            len += 1;
        }
        if !self.assignment_id.is_empty() {
            len += 1;
        }
        if !self.targeting_key.is_empty() {
            len += 1;
        }
        if !self.targeting_key_selector.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.events.FallthroughAssignment", len)?;
        if !self.rule.is_empty() {
            struct_ser.serialize_field("rule", &self.rule)?;
        }
        if !self.assignment_id.is_empty() {
            struct_ser.serialize_field("assignmentId", &self.assignment_id)?;
        }
        if !self.targeting_key.is_empty() {
            struct_ser.serialize_field("targetingKey", &self.targeting_key)?;
        }
        if !self.targeting_key_selector.is_empty() {
            struct_ser.serialize_field("targetingKeySelector", &self.targeting_key_selector)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for FallthroughAssignment {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "rule",
            "assignment_id",
            "assignmentId",
            "targeting_key",
            "targetingKey",
            "targeting_key_selector",
            "targetingKeySelector",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Rule,
            AssignmentId,
            TargetingKey,
            TargetingKeySelector,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "rule" => Ok(GeneratedField::Rule),
                            "assignmentId" | "assignment_id" => Ok(GeneratedField::AssignmentId),
                            "targetingKey" | "targeting_key" => Ok(GeneratedField::TargetingKey),
                            "targetingKeySelector" | "targeting_key_selector" => Ok(GeneratedField::TargetingKeySelector),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = FallthroughAssignment;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.events.FallthroughAssignment")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<FallthroughAssignment, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut rule__ = None;
                let mut assignment_id__ = None;
                let mut targeting_key__ = None;
                let mut targeting_key_selector__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Rule => {
                            if rule__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rule"));
                            }
                            rule__ = Some(map_.next_value()?);
                        }
                        GeneratedField::AssignmentId => {
                            if assignment_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("assignmentId"));
                            }
                            assignment_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TargetingKey => {
                            if targeting_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("targetingKey"));
                            }
                            targeting_key__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TargetingKeySelector => {
                            if targeting_key_selector__.is_some() {
                                return Err(serde::de::Error::duplicate_field("targetingKeySelector"));
                            }
                            targeting_key_selector__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(FallthroughAssignment {
                    rule: rule__.unwrap_or_default(),
                    assignment_id: assignment_id__.unwrap_or_default(),
                    targeting_key: targeting_key__.unwrap_or_default(),
                    targeting_key_selector: targeting_key_selector__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.events.FallthroughAssignment", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for FlagAssigned {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.client_info.is_some() {
            len += 1;
        }
        if !self.resolve_id.is_empty() {
            len += 1;
        }
        if !self.flags.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.events.FlagAssigned", len)?;
        if let Some(v) = self.client_info.as_ref() {
            struct_ser.serialize_field("clientInfo", v)?;
        }
        if !self.resolve_id.is_empty() {
            struct_ser.serialize_field("resolveId", &self.resolve_id)?;
        }
        if !self.flags.is_empty() {
            struct_ser.serialize_field("flags", &self.flags)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for FlagAssigned {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "client_info",
            "clientInfo",
            "resolve_id",
            "resolveId",
            "flags",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ClientInfo,
            ResolveId,
            Flags,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "clientInfo" | "client_info" => Ok(GeneratedField::ClientInfo),
                            "resolveId" | "resolve_id" => Ok(GeneratedField::ResolveId),
                            "flags" => Ok(GeneratedField::Flags),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = FlagAssigned;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.events.FlagAssigned")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<FlagAssigned, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut client_info__ = None;
                let mut resolve_id__ = None;
                let mut flags__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ClientInfo => {
                            if client_info__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clientInfo"));
                            }
                            client_info__ = map_.next_value()?;
                        }
                        GeneratedField::ResolveId => {
                            if resolve_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resolveId"));
                            }
                            resolve_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Flags => {
                            if flags__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flags"));
                            }
                            flags__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(FlagAssigned {
                    client_info: client_info__,
                    resolve_id: resolve_id__.unwrap_or_default(),
                    flags: flags__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.events.FlagAssigned", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_assigned::AppliedFlag {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.flag.is_empty() {
            len += 1;
        }
        if !self.targeting_key.is_empty() {
            len += 1;
        }
        if !self.targeting_key_selector.is_empty() {
            len += 1;
        }
        if !self.assignment_id.is_empty() {
            len += 1;
        }
        if !self.rule.is_empty() {
            len += 1;
        }
        if !self.fallthrough_assignments.is_empty() {
            len += 1;
        }
        if self.apply_time.is_some() {
            len += 1;
        }
        if self.assignment.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.events.FlagAssigned.AppliedFlag", len)?;
        if !self.flag.is_empty() {
            struct_ser.serialize_field("flag", &self.flag)?;
        }
        if !self.targeting_key.is_empty() {
            struct_ser.serialize_field("targetingKey", &self.targeting_key)?;
        }
        if !self.targeting_key_selector.is_empty() {
            struct_ser.serialize_field("targetingKeySelector", &self.targeting_key_selector)?;
        }
        if !self.assignment_id.is_empty() {
            struct_ser.serialize_field("assignmentId", &self.assignment_id)?;
        }
        if !self.rule.is_empty() {
            struct_ser.serialize_field("rule", &self.rule)?;
        }
        if !self.fallthrough_assignments.is_empty() {
            struct_ser.serialize_field("fallthroughAssignments", &self.fallthrough_assignments)?;
        }
        if let Some(v) = self.apply_time.as_ref() {
            struct_ser.serialize_field("applyTime", v)?;
        }
        if let Some(v) = self.assignment.as_ref() {
            match v {
                flag_assigned::applied_flag::Assignment::AssignmentInfo(v) => {
                    struct_ser.serialize_field("assignmentInfo", v)?;
                }
                flag_assigned::applied_flag::Assignment::DefaultAssignment(v) => {
                    struct_ser.serialize_field("defaultAssignment", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for flag_assigned::AppliedFlag {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "flag",
            "targeting_key",
            "targetingKey",
            "targeting_key_selector",
            "targetingKeySelector",
            "assignment_id",
            "assignmentId",
            "rule",
            "fallthrough_assignments",
            "fallthroughAssignments",
            "apply_time",
            "applyTime",
            "assignment_info",
            "assignmentInfo",
            "default_assignment",
            "defaultAssignment",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Flag,
            TargetingKey,
            TargetingKeySelector,
            AssignmentId,
            Rule,
            FallthroughAssignments,
            ApplyTime,
            AssignmentInfo,
            DefaultAssignment,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "flag" => Ok(GeneratedField::Flag),
                            "targetingKey" | "targeting_key" => Ok(GeneratedField::TargetingKey),
                            "targetingKeySelector" | "targeting_key_selector" => Ok(GeneratedField::TargetingKeySelector),
                            "assignmentId" | "assignment_id" => Ok(GeneratedField::AssignmentId),
                            "rule" => Ok(GeneratedField::Rule),
                            "fallthroughAssignments" | "fallthrough_assignments" => Ok(GeneratedField::FallthroughAssignments),
                            "applyTime" | "apply_time" => Ok(GeneratedField::ApplyTime),
                            "assignmentInfo" | "assignment_info" => Ok(GeneratedField::AssignmentInfo),
                            "defaultAssignment" | "default_assignment" => Ok(GeneratedField::DefaultAssignment),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = flag_assigned::AppliedFlag;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.events.FlagAssigned.AppliedFlag")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<flag_assigned::AppliedFlag, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut flag__ = None;
                let mut targeting_key__ = None;
                let mut targeting_key_selector__ = None;
                let mut assignment_id__ = None;
                let mut rule__ = None;
                let mut fallthrough_assignments__ = None;
                let mut apply_time__ = None;
                let mut assignment__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Flag => {
                            if flag__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flag"));
                            }
                            flag__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TargetingKey => {
                            if targeting_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("targetingKey"));
                            }
                            targeting_key__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TargetingKeySelector => {
                            if targeting_key_selector__.is_some() {
                                return Err(serde::de::Error::duplicate_field("targetingKeySelector"));
                            }
                            targeting_key_selector__ = Some(map_.next_value()?);
                        }
                        GeneratedField::AssignmentId => {
                            if assignment_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("assignmentId"));
                            }
                            assignment_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Rule => {
                            if rule__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rule"));
                            }
                            rule__ = Some(map_.next_value()?);
                        }
                        GeneratedField::FallthroughAssignments => {
                            if fallthrough_assignments__.is_some() {
                                return Err(serde::de::Error::duplicate_field("fallthroughAssignments"));
                            }
                            fallthrough_assignments__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ApplyTime => {
                            if apply_time__.is_some() {
                                return Err(serde::de::Error::duplicate_field("applyTime"));
                            }
                            apply_time__ = map_.next_value()?;
                        }
                        GeneratedField::AssignmentInfo => {
                            if assignment__.is_some() {
                                return Err(serde::de::Error::duplicate_field("assignmentInfo"));
                            }
                            assignment__ = map_.next_value::<::std::option::Option<_>>()?.map(flag_assigned::applied_flag::Assignment::AssignmentInfo)
;
                        }
                        GeneratedField::DefaultAssignment => {
                            if assignment__.is_some() {
                                return Err(serde::de::Error::duplicate_field("defaultAssignment"));
                            }
                            assignment__ = map_.next_value::<::std::option::Option<_>>()?.map(flag_assigned::applied_flag::Assignment::DefaultAssignment)
;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(flag_assigned::AppliedFlag {
                    flag: flag__.unwrap_or_default(),
                    targeting_key: targeting_key__.unwrap_or_default(),
                    targeting_key_selector: targeting_key_selector__.unwrap_or_default(),
                    assignment_id: assignment_id__.unwrap_or_default(),
                    rule: rule__.unwrap_or_default(),
                    fallthrough_assignments: fallthrough_assignments__.unwrap_or_default(),
                    apply_time: apply_time__,
                    assignment: assignment__,
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.events.FlagAssigned.AppliedFlag", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_assigned::AssignmentInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.segment.is_empty() {
            len += 1;
        }
        if !self.variant.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.events.FlagAssigned.AssignmentInfo", len)?;
        if !self.segment.is_empty() {
            struct_ser.serialize_field("segment", &self.segment)?;
        }
        if !self.variant.is_empty() {
            struct_ser.serialize_field("variant", &self.variant)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for flag_assigned::AssignmentInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "segment",
            "variant",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Segment,
            Variant,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "segment" => Ok(GeneratedField::Segment),
                            "variant" => Ok(GeneratedField::Variant),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = flag_assigned::AssignmentInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.events.FlagAssigned.AssignmentInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<flag_assigned::AssignmentInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut segment__ = None;
                let mut variant__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Segment => {
                            if segment__.is_some() {
                                return Err(serde::de::Error::duplicate_field("segment"));
                            }
                            segment__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Variant => {
                            if variant__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variant"));
                            }
                            variant__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(flag_assigned::AssignmentInfo {
                    segment: segment__.unwrap_or_default(),
                    variant: variant__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.events.FlagAssigned.AssignmentInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_assigned::DefaultAssignment {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.reason != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.events.FlagAssigned.DefaultAssignment", len)?;
        if self.reason != 0 {
            let v = crate::open_enum::OpenEnum::<flag_assigned::default_assignment::DefaultAssignmentReason>::try_from(self.reason)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.reason)))?;
            struct_ser.serialize_field("reason", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for flag_assigned::DefaultAssignment {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "reason",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Reason,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "reason" => Ok(GeneratedField::Reason),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = flag_assigned::DefaultAssignment;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.events.FlagAssigned.DefaultAssignment")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<flag_assigned::DefaultAssignment, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut reason__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value::<crate::open_enum::OpenEnum<flag_assigned::default_assignment::DefaultAssignmentReason>>()?.number);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(flag_assigned::DefaultAssignment {
                    reason: reason__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.events.FlagAssigned.DefaultAssignment", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_assigned::default_assignment::DefaultAssignmentReason {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "DEFAULT_ASSIGNMENT_REASON_UNSPECIFIED",
            Self::NoSegmentMatch => "NO_SEGMENT_MATCH",
            Self::NoTreatmentMatch => "NO_TREATMENT_MATCH",
            Self::FlagArchived => "FLAG_ARCHIVED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for flag_assigned::default_assignment::DefaultAssignmentReason {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "DEFAULT_ASSIGNMENT_REASON_UNSPECIFIED",
            "NO_SEGMENT_MATCH",
            "NO_TREATMENT_MATCH",
            "FLAG_ARCHIVED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = flag_assigned::default_assignment::DefaultAssignmentReason;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "DEFAULT_ASSIGNMENT_REASON_UNSPECIFIED" => Ok(flag_assigned::default_assignment::DefaultAssignmentReason::Unspecified),
                    "NO_SEGMENT_MATCH" => Ok(flag_assigned::default_assignment::DefaultAssignmentReason::NoSegmentMatch),
                    "NO_TREATMENT_MATCH" => Ok(flag_assigned::default_assignment::DefaultAssignmentReason::NoTreatmentMatch),
                    "FLAG_ARCHIVED" => Ok(flag_assigned::default_assignment::DefaultAssignmentReason::FlagArchived),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
