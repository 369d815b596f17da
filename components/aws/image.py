"""The nodes' image, baked by EC2 Image Builder: Amazon Linux with what a node would else install when it starts."""

from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws.machine import Architecture
from components.aws.network import Network
from components.aws.roles import make_role
from components.chapter import AwsChapter

_BUILDER: Final = "arn:aws:iam::aws:policy/EC2InstanceProfileForImageBuilder"
_SESSION_MANAGER: Final = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
_VERSION: Final = "1.0.0"
"""Image Builder wants one; here a change of content is a change of name."""
_PARENTS: Final[dict[Architecture, str]] = {"arm64": "arm64", "x86_64": "x86"}
"""How Image Builder's own images of Amazon Linux are called."""
_STEPS: Final = """\
schemaVersion: 1.0
phases:
  - name: build
    steps:
      - name: Docker
        action: ExecuteBash
        inputs:
          commands:
            - dnf install -y -q docker
            - systemctl enable docker
  - name: validate
    steps:
      - name: Runs
        action: ExecuteBash
        inputs:
          commands:
            - systemctl start docker
            - docker version
"""


def bake_image(
    chapter: AwsChapter,
    architecture: Architecture,
    machine: str,
    region: str,
    network: Network,
    key: pulumi.Input[str],
    disk_gib: int,
) -> pulumi.Output[str]:
    """The id of the image, which takes AWS about a quarter of an hour to bake."""
    part = f"node-{architecture.replace('_', '-')}"
    role = make_role(chapter, f"{part}-builder", "ec2.amazonaws.com", managed=_BUILDER)
    reached = aws.iam.RolePolicyAttachment(
        f"{part}-builder-session",
        aws.iam.RolePolicyAttachmentArgs(role=role.name, policy_arn=_SESSION_MANAGER),
        chapter.options(),
    )
    profile = aws.iam.InstanceProfile(
        f"{part}-builder",
        aws.iam.InstanceProfileArgs(name=chapter.names.of(f"{part}-builder"), role=role.name, tags=chapter.tags(part)),
        chapter.options(),
    )
    component = aws.imagebuilder.Component(
        part,
        aws.imagebuilder.ComponentArgs(
            name=chapter.names.versioned(part, _STEPS),
            platform="Linux",
            version=_VERSION,
            data=_STEPS,
            kms_key_id=key,
            tags=chapter.tags(part),
        ),
        chapter.options(),
    )
    recipe = aws.imagebuilder.ImageRecipe(
        part,
        aws.imagebuilder.ImageRecipeArgs(
            name=chapter.names.versioned(part, f"{_STEPS}{disk_gib}"),
            version=_VERSION,
            parent_image=f"arn:aws:imagebuilder:{region}:aws:image/amazon-linux-2023-{_PARENTS[architecture]}/x.x.x",
            components=[aws.imagebuilder.ImageRecipeComponentArgs(component_arn=component.arn)],
            block_device_mappings=[
                aws.imagebuilder.ImageRecipeBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.imagebuilder.ImageRecipeBlockDeviceMappingEbsArgs(
                        volume_size=disk_gib,
                        volume_type="gp3",
                        encrypted="true",
                        kms_key_id=key,
                        delete_on_termination="true",
                    ),
                )
            ],
            tags=chapter.tags(part),
        ),
        chapter.options(),
    )
    builder = aws.imagebuilder.InfrastructureConfiguration(
        part,
        aws.imagebuilder.InfrastructureConfigurationArgs(
            name=chapter.names.of(part),
            instance_profile_name=profile.name,
            instance_types=[machine],
            instance_metadata_options=aws.imagebuilder.InfrastructureConfigurationInstanceMetadataOptionsArgs(
                http_tokens="required", http_put_response_hop_limit=1
            ),
            subnet_id=network.private_ids[0],
            security_group_ids=[network.groups["nodes"].id],
            terminate_instance_on_failure=True,
            tags=chapter.tags(part),
        ),
        chapter.options(depends_on=[reached]),
    )
    image = aws.imagebuilder.Image(
        part,
        aws.imagebuilder.ImageArgs(
            image_recipe_arn=recipe.arn,
            infrastructure_configuration_arn=builder.arn,
            tags=chapter.tags(part),
        ),
        chapter.options(),
    )
    return image.output_resources[0].amis[0].image
